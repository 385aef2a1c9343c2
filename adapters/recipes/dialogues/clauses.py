"""Sentences around a clause: "who taught me to cook" asked for in many ways, and the answers with or without knowing.

In wordings, a clause begins with `*`: an indirect question where something is asked, a statement where it is answered.
"""

from __future__ import annotations

import random
import re

from adapters.recipes.dialogues.grammar import Fill, expand, sentence_case

_CLAUSES = 0.45
"""How often a clause is used where there are whole sentences, too."""
_ASKING = (
    "Do you [still|] remember {c}?",
    "Do you [still|] know {c}?",
    "Can you tell me {c}?",
    "Could you tell me [again|] {c}?",
    "Tell me {c}[, please|].",
    "Remind me {c}[, please|].",
    "I forgot {c}. [Can you help?|Do you know?|]",
    "Did I [mention|tell you] {c}? [What was it?|Do you remember?|]",
    "I told you {c}, didn't I? [Tell me.|So what was it?|]",
    "[Quick question|A little test]: do you know {c}?",
    "I can't remember {c}. [Can you?|Do you?|]",
    "You know {c}, right? [Tell me.|]",
    "I'd like to know [if you remember|] {c}.",
    "Have I told you {c}? [What was it?|]",
)
_ANSWERING = (
    "{c}.",
    "{c}.",
    "You told me that {c}.",
    "You said that {c}.",
    "You said {c}.",
    "[Yes, I|I] remember: {c}.",
    "I remember that {c}.",
    "If I remember right, {c}.",
    "From what you told me, {c}.",
    "Of course: {c}.",
    "That's easy: {c}.",
    "You mentioned that {c}.",
    "As you told me, {c}.",
)
_NOT_TOLD = (
    "You haven't told me {c}.",
    "You haven't told me that[ yet|].",
    "I don't know {c}. You haven't told me[ yet|].",
    "I don't know. You haven't told me {c}.",
    "I'm sorry, you haven't told me {c}. [Would you like to?|]",
    "You didn't tell me {c}.",
    "You didn't say {c}.",
    "As far as I know, you haven't told me {c}.",
    "I can't remember it, because you haven't told me {c}.",
    "I don't know {c}. Tell me, and I will [remember|keep it in mind].",
    "Honestly, I don't know {c}. You didn't tell me.",
    "I'd have to guess {c}. You haven't told me.",
    "Hm, you haven't told me that yet. [Tell me!|]",
)
_SECOND_PERSON = (
    ("I was", "you were"),
    ("I am", "you are"),
    ("I'm", "you're"),
    ("(?:I|me|we|us)", "you"),
    ("(?:my|our)", "your"),
    ("myself", "yourself"),
)


def asked(wordings: tuple[str, ...], rng: random.Random, fill: Fill) -> str:
    """A question: one of the whole ones or one made from a clause."""
    return _said(wordings, _ASKING, rng, fill)


def answered(wordings: tuple[str, ...], rng: random.Random, fill: Fill) -> str:
    """An answer: one of the whole ones or one made from a clause."""
    return _said(wordings, _ANSWERING, rng, fill)


def not_told(wordings: tuple[str, ...], rng: random.Random, fill: Fill) -> str:
    """The honest answer to one of these questions when what it asks for was never told."""
    return _around(rng.choice(_NOT_TOLD), to_second_person(_clause(wordings, rng)), rng, fill)


def to_second_person(clause: str) -> str:
    """Turn "who taught me to cook" into "who taught you to cook"."""
    for first, second in _SECOND_PERSON:
        clause = re.sub(rf"\b{first}\b", second, clause)
    return clause


def _said(wordings: tuple[str, ...], frames: tuple[str, ...], rng: random.Random, fill: Fill) -> str:
    whole = [wording for wording in wordings if not wording.startswith("*")]
    has_clause = len(whole) < len(wordings)
    if has_clause and (not whole or rng.random() < _CLAUSES):
        return _around(rng.choice(frames), _clause(wordings, rng), rng, fill)
    return sentence_case(expand(rng.choice(whole), rng, fill))


def _clause(wordings: tuple[str, ...], rng: random.Random) -> str:
    return rng.choice([wording[1:] for wording in wordings if wording.startswith("*")])


def _around(frame: str, clause: str, rng: random.Random, fill: Fill) -> str:
    return sentence_case(expand(frame.replace("{c}", clause), rng, fill))

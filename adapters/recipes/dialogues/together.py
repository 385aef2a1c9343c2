"""Several things told in one message, as people do at first: "hi, I'm Lena and on Sundays I go hiking"."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from adapters.recipes.dialogues.details import Told
from adapters.recipes.dialogues.facts import Fact
from adapters.recipes.dialogues.grammar import expand, sentence_case
from adapters.recipes.dialogues.knowledge import joined
from adapters.recipes.dialogues.slots import draw

Telling = Fact | Told
"""What a user may tell: a fact, or a detail in passing."""

_PLAIN = 0.5
"""How often a fact is told in its shortest form, as most people do who tell two at once."""
_INTRODUCTIONS = ("I'm {v}.", "I'm {v}.", "I am {v}.", "My name is {v}.", "My name's {v}.", "{v} here.", "It's {v}.")
_GREETINGS = (
    *("Hi, ", "Hi! ", "Hi ", "Hello, ", "Hello! ", "Hey, ", "Hey! ", "Hey there, ", "Hi there! ", "Hello there. "),
    *("Good morning! ", "Good evening, ", "Good afternoon. ", "Hi, so "),
)
_COMMAS = (", ", " and ", " and ", ", and ", ", also ", ", oh and ", " - ", "; ", ", by the way ")
_STOPS = (" ", " ", " ", " Also, ", " And ", " Oh, and ", " By the way, ", "\n", " Another thing: ")
_GAPS = (" ", " ", " ", "\n")
_RUNNING_ON = 0.6
"""How often a telling goes on in the same sentence, where it can."""
_LOWERED = re.compile(r"(?:My|Our|We|The|An?|In|On|At|For|It|There|This|He|She|They|When|After|Since|As|If)\b(?!')")
"""First words that lose their capital within a sentence; others may be names."""
_GREETS = re.compile(r"(?:h(?:i|ey|ello)|good (?:morning|evening)|greetings)\b", re.IGNORECASE)
_WITHIN = re.compile(r"[.!?\n:].")
_LISTED = (
    "Thank you for telling me. I will remember that {k}.",
    "Nice! So {k}.",
    "Good to know: {k}.",
    "I see. So {k}. [What else?|]",
    "Noted: {k}.",
    "So {k}. [Tell me more!|]",
)


def words(told: Telling, rng: random.Random, *, held_out: bool = False) -> str:
    """A sentence or two in which it is told; of a fact, a held-out wording where asked for."""
    if isinstance(told, Told):
        return told.tell(rng)
    return sentence_case(told.tell(rng, draw("day", rng), held_out=held_out))


def in_one_breath(told: Sequence[Telling], rng: random.Random) -> str:
    """One message in which all of these are told, some of them in one sentence."""
    text = _alone(told[0], rng)
    for each in told[1:]:
        text = _followed(text, _alone(each, rng), rng)
    return text


def greeted(message: str, rng: random.Random) -> str:
    """The message with a greeting before it, unless it has one of its own."""
    if _GREETS.match(message):
        return message
    hello = rng.choice(_GREETINGS)
    return hello + (message if hello.rstrip()[-1] in ".!?" else _lowered(message))


def acknowledged(told: Sequence[Telling], rng: random.Random) -> str:
    """An answer to all of these, to two or to one; it asks one question at most."""
    chance, facts = rng.random(), [each for each in told if isinstance(each, Fact)]
    if chance < 0.3 and len(facts) == len(told):
        return sentence_case(expand(rng.choice(_LISTED), rng, lambda _: joined([each.known() for each in facts])))
    first, last = rng.choice(told), told[-1]
    if chance < 0.6 or first is last:
        return last.ack(rng)
    statements = [ack for ack in (first.ack(rng) for _ in range(6)) if "?" not in ack and len(ack.split()) < 9]
    return f"{statements[0]} {last.ack(rng)}" if statements else first.ack(rng)


def _alone(told: Telling, rng: random.Random) -> str:
    if isinstance(told, Fact) and rng.random() < _PLAIN:
        if told.kind.name == "name":
            return expand(rng.choice(_INTRODUCTIONS), rng, lambda _: told.value)
        return sentence_case(f"{told.first_person()}.")
    return words(told, rng)


def _followed(text: str, sentence: str, rng: random.Random) -> str:
    """The text with the sentence after it, in the same sentence where neither says more than one."""
    if _GREETS.match(sentence):
        sentence = _GREETS.sub("", sentence).lstrip(" ,!.") or sentence
        sentence = sentence[:1].upper() + sentence[1:]
    is_plain = text.endswith(".") and not _WITHIN.search(text) and not _WITHIN.search(sentence)
    runs_on = is_plain and (_LOWERED.match(sentence) or re.match(r"I\b", sentence))
    if runs_on and rng.random() < _RUNNING_ON:
        return text[:-1] + rng.choice(_COMMAS) + _lowered(sentence)
    if not text.endswith((".", "!", "?", "\n")):
        text += "."
    lowered = _lowered(sentence)
    between = rng.choice(_STOPS if lowered != sentence or sentence.startswith("I ") else _GAPS)
    return text + between + (lowered if between.strip() else sentence)


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:] if _LOWERED.match(sentence) else sentence

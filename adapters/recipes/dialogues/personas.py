"""Who the assistant is in a dialogue: the system message, and the answers that depend on it.

The default is Ada, with the server's default system message or with none at all.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from adapters.recipes.dialogues.grammar import expand
from adapters.recipes.dialogues.slots import draw

DEFAULT_SYSTEM = "You are Ada, a friendly assistant."

_FRAMES = (
    "You are {me}.",
    "You are {me}, a {role}.",
    "You are {me}, a {role}.",
    "You are {me}, a [kind|cheerful|wise|old|young|funny|gentle|clever|calm|brave] {role}.",
    "You are {me}, a friendly assistant.",
    "You are {me}, a [helpful|warm|patient|polite] assistant.",
    "Your name is {me}.",
    "Your name is {me}. You are a {role}.",
    "You are a {role} called {me}.",
    "You are a {role}. Your name is {me}.",
    "You are {me} the {role}.",
    "I want you to be {me}, a {role}.",
    "You play {me}, a {role}.",
)
_SHORT = (
    "Answer in one sentence.",
    "Answer in one short sentence.",
    "Always answer in one sentence.",
    "Reply in one sentence.",
    "Keep it short: one sentence.",
)
_MANNER = (
    "Be kind.",
    "You like to help people.",
    "You are always polite.",
    "Use simple words.",
    "You love to talk.",
    "You are friendly.",
    "Be honest.",
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"])")
_HONORIFIC_END = ("Mr.", "Dr.")

_ANSWERS = {
    "name": (
        "I'm {me}{role_tail}. [What is your name?|What should I call you?|And who are you?|]",
        "My name is {me}. [What is yours?|And yours?|]",
        "I'm {me}. [Nice to meet you!|]",
        "You can call me {me}.",
        "My name is {me}{role_tail}.",
        "I am {me}{role_tail}.",
    ),
    "kind": (
        "{play}I'm a small language model, a program on this computer. I'm not a human.",
        "{play}I'm not a person. I'm a small language model that likes to chat.",
        "{play}I'm a computer program, a small language model. I have no body.",
        "{play}I'm an AI, a small one. I run on this computer and I only know words.",
    ),
    "bye": (
        "Goodbye{you}! [It was nice talking to you.|Take care.|]",
        "Bye{you}! [See you soon.|Have a nice day.|Come back any time.|]",
        "See you{you}! Take care.",
        "Goodbye{you}, and thank you for the chat!",
        "Take care{you}! [I enjoyed our chat.|Until next time.|]",
    ),
    "greet": (
        "Hello{you}! How are you today?",
        "Hello{you}! [It's nice to hear from you.|] How are things?",
        "Good to hear from you{you}! How is your day going?",
        "Hi{you}! How are you doing?",
    ),
    "job": (
        "I'm a {role_or_assistant}. [What about you?|What do you do?|]",
        "I work as a {role_or_assistant}, in a way. [And you?|]",
    ),
}


@dataclass(frozen=True, slots=True)
class Persona:
    """A name, perhaps a role, and the system message that says so (None: no system message)."""

    me: str
    role: str | None
    system: str | None
    is_brief: bool

    @classmethod
    def draw(cls, rng: random.Random, *, held_out: bool = False) -> Persona:
        """Mostly Ada; in training three dialogues of ten have somebody else."""
        chance = rng.random()
        if not held_out and chance < 0.55:
            return cls("Ada", None, DEFAULT_SYSTEM, False)
        if not held_out and chance < 0.68:
            return cls("Ada", None, None, False)
        return cls._other(rng, held_out)

    @classmethod
    def _other(cls, rng: random.Random, held_out: bool) -> Persona:
        me = draw("bot", rng, held_out=held_out)
        role = draw("botjob", rng, held_out=held_out)
        frame = rng.choice(_FRAMES)
        system = expand(frame, rng, lambda slot: me if slot == "me" else role)
        if rng.random() < 0.25:
            system += " " + rng.choice(_MANNER)
        is_brief = rng.random() < 0.3
        if is_brief:
            system += " " + rng.choice(_SHORT)
        return cls(me, role if "{role}" in frame else None, system, is_brief)

    def answer(self, what: str, rng: random.Random, user_name: str | None = None) -> str:
        """The answer to a question about the persona itself: name, kind, job, greet or bye."""
        values = {
            "me": self.me,
            "role_tail": f", a {self.role}" if self.role and rng.random() < 0.6 else "",
            "role_or_assistant": self.role or "friendly assistant",
            "play": f"I play {self.me}, a {self.role}, but really " if self.role else "",
            "you": f", {user_name}" if user_name and rng.random() < 0.6 else "",
        }
        return expand(rng.choice(_ANSWERS[what]), rng, values.__getitem__)

    def style(self, reply: str) -> str:
        """The reply as this persona gives it: cut to its first sentence where the system message asks so."""
        return first_sentence(reply) if self.is_brief else reply


def first_sentence(text: str) -> str:
    """The text up to the end of its first sentence."""
    for match in _SENTENCE_END.finditer(text):
        if not text[: match.start()].endswith(_HONORIFIC_END):
            return text[: match.start()]
    return text

"""A dialogue in the making: who talks, how the user types, what was told so far."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from adapters.recipes.dialogues.details import Told
from adapters.recipes.dialogues.facts import Fact
from adapters.recipes.dialogues.instructions import Check
from adapters.recipes.dialogues.personas import Persona
from adapters.recipes.dialogues.typing_habits import TypingHabit, words_of
from chatbot.conversation.recalled import Excerpt, with_excerpts

Message = dict[str, str]


@dataclass(slots=True)
class Talk:
    """A dialogue in the making."""

    rng: random.Random
    persona: Persona
    habit: TypingHabit
    facts: dict[str, Fact] = field(default_factory=dict)
    details: list[Told] = field(default_factory=list)
    implied: set[str] = field(default_factory=set)
    """Names of facts that a detail has told already, and so cannot be told otherwise or be called untold."""
    values: set[str] = field(default_factory=set)
    """All that an answer may have to copy: what was told, taken back or recalled, and what was to be said."""
    turns: list[Message] = field(default_factory=list)
    checks: dict[int, Check] = field(default_factory=dict)
    """By the number of its turn, what an answer to an instruction must pass."""
    words: int = 0

    def exchange(self, user: str, answer: str, protected: tuple[str, ...] = (), *, is_styled: bool = True) -> None:
        """Add one user turn, typed the way this user types, and the persona's answer."""
        shield = words_of((*protected, *(fact.value for fact in self.facts.values())))
        typed = self.habit.type(user, self.rng, shield, self.persona.me)
        styled = self.persona.style(answer, self.values | {*protected}) if is_styled else answer
        self.turns += [{"role": "user", "content": typed}, {"role": "assistant", "content": styled}]
        self.words += len(typed.split()) + len(styled.split())

    def recall(self, user: str, answer: str, excerpts: list[Excerpt], protected: tuple[str, ...] = ()) -> None:
        """Add an exchange whose user turn carries excerpts from before the window."""
        self.exchange(user, answer, protected)
        self.turns[-2]["content"] = with_excerpts(self.turns[-2]["content"], excerpts)

    def user_name(self) -> str | None:
        """The user's name, once it was told."""
        return self.facts["name"].value if "name" in self.facts else None

"""Small instructions and how to tell whether a reply keeps to them: one word, one sentence, yes or no, say it twice.

Invariant: every instruction's own answer passes its own check.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from adapters.recipes.dialogues.grammar import choose, expand, sentence_case
from adapters.recipes.dialogues.knowledge import counting, joined, rows
from adapters.recipes.dialogues.sentences import sentences
from adapters.recipes.dialogues.slots import draw, slot_values

Check = Callable[[str], bool]

_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5}
_WORDS = ("food", "animal", "color", "city", "name", "fruit", "hobby", "thing", "drink", "instrument", "bot", "surname")
_SAYABLE = (
    "the {thing} is {color}",
    "I like {food} and {drink}",
    "{name} lives in {city}",
    "my {animal} is called {petname}",
    "the {animal} ate the {fruit}",
    "{name} and {name.2} play {sport}",
    "{word} {word.2} {word.3}",
    "every {day} we eat {food}",
    "{petname} sleeps on the {thing}",
    "there are {number} {animals} in {city}",
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """What the user asks for, one good answer, and the check that any answer must pass."""

    name: str
    user: str
    answer: str
    check: Check
    copied: str = ""
    """What the answer takes over word for word."""


def instruction(rng: random.Random, *, held_out: bool = False) -> Instruction:
    """One instruction; its words are held out of training where asked for."""
    return rng.choice((_one_word, _one_sentence, _yes_or_no, _list, _count, _repeat, _say, _say_often))(rng, held_out)


def _one_word(rng: random.Random, held_out: bool) -> Instruction:
    first, second = rng.sample(rng.choice(rows("opposites")), 2)
    asked = choose(
        "[In one word|Answer with one word|One word only|Just one word]: "
        "[what is the opposite of|the opposite of|what is the contrary of] {a}?",
        rng,
    )
    return Instruction("one word", asked.replace("{a}", first), f"{second.capitalize()}.", _is_words(1))


def _one_sentence(rng: random.Random, held_out: bool) -> Instruction:
    noun, meaning = rng.choice(rows("things"))
    asked = expand(
        "[In one sentence|Answer in one sentence|In one short sentence|With one sentence]: "
        "[what is a {n}?|explain what a {n} is.|tell me what a {n} is.|what does {n} mean?]",
        rng,
        lambda _: noun,
    )
    answer = expand(f"A {noun} is a {meaning}.", rng, str)
    return Instruction(
        "one sentence", asked, answer, lambda reply: len(sentences(reply)) == 1 and len(reply.split()) > 2
    )


def _yes_or_no(rng: random.Random, held_out: bool) -> Instruction:
    sizes = rows("sizes")[0][0].split(", ")
    first, second = rng.sample(range(len(sizes)), 2)
    asked = expand(
        "[Yes or no|Answer yes or no|Just yes or no|Only yes or no]: is a {a} bigger than a {b}?",
        rng,
        lambda slot: sizes[first] if slot == "a" else sizes[second],
    )
    return Instruction("yes or no", asked, "Yes." if first > second else "No.", _is_yes_or_no)


def _list(rng: random.Random, held_out: bool) -> Instruction:
    plural, members = rng.choice(rows("lists"))
    word = rng.choice(tuple(_NUMBERS))
    chosen = members.split(", ")[: _NUMBERS[word]]
    asked = choose(f"[Name|List|Give me|Tell me|Write down|I want] {word} {plural}[, please|].", rng)
    return Instruction("list", asked, sentence_case(f"{joined(chosen)}."), _has_parts(len(chosen)))


def _count(rng: random.Random, held_out: bool) -> Instruction:
    asked, answer = counting(rng)
    return Instruction("count", asked, answer, lambda reply: re.findall(r"\d+", reply) == re.findall(r"\d+", answer))


def _repeat(rng: random.Random, held_out: bool) -> Instruction:
    said = _sayable(rng, held_out)
    lead = choose("[Repeat after me|Repeat this|Please repeat|Say this|Write this down|Copy this]:", rng)
    return Instruction("repeat", f"{lead} {said}.", f"{said}.", _holds_once(said), said)


def _say(rng: random.Random, held_out: bool) -> Instruction:
    word = _word(rng, held_out)
    asked = choose("[Just say|Say only|Say the word|Reply only with|Answer just|Please say] {w}.", rng)
    return Instruction("say", asked.replace("{w}", word), sentence_case(f"{word}."), _holds_once(word), word)


def _say_often(rng: random.Random, held_out: bool) -> Instruction:
    word = _word(rng, held_out)
    often, times = rng.choice((("twice", 2), ("three times", 3), ("two times", 2)))
    asked = choose(f"[Say|Write|Repeat|Please say] {{w}} {often}.", rng).replace("{w}", word)
    answer = ", ".join([word] * times)

    def check(reply: str) -> bool:
        return len(re.findall(rf"\b{re.escape(word)}\b", reply, re.IGNORECASE)) == times

    return Instruction("say often", asked, sentence_case(f"{answer}."), check, word)


def _word(rng: random.Random, held_out: bool) -> str:
    slots = [slot for slot in _WORDS if slot_values()[slot].held_out] if held_out else _WORDS
    return draw(rng.choice(slots), rng, held_out=held_out)


def _sayable(rng: random.Random, held_out: bool) -> str:
    def fill(slot: str) -> str:
        kind = slot.split(".")[0]
        return _word(rng, held_out) if kind == "word" else draw(kind, rng, held_out=held_out)

    return expand(rng.choice(_SAYABLE), rng, fill)


def _is_words(count: int) -> Check:
    return lambda reply: len(reply.split()) == count


def _is_yes_or_no(reply: str) -> bool:
    return reply.strip().rstrip(".!").lower() in ("yes", "no")


def _has_parts(count: int) -> Check:
    def check(reply: str) -> bool:
        parts = [part.split() for part in re.split(r",|\band\b", reply.split(":")[-1]) if part.strip()]
        return len(parts) == count and all(len(part) < 5 for part in parts)

    return check


def _holds_once(said: str) -> Check:
    wanted = said.lower()
    return lambda reply: reply.lower().count(wanted) == 1 and len(reply) <= len(said) + 12

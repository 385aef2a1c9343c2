"""The base model's own dialogues, with the assistant's turns in a persona's voice.

The small base model knows the answers of its own dialogues; told in another voice they teach it that voice without
teaching it to forget. Dialogues in which a voice would change a told value (a name, a place, a number), a quotation, or
the form that was asked for are left out.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from adapters.recipes.dialogues import Dialogue, dialogues
from adapters.recipes.dialogues.sentences import holds
from adapters.recipes.personas.turns import Turns

BASE_NAME = re.compile(r"\bada\b", re.IGNORECASE)
ORDER_OF_FORM = re.compile(
    r"\b(?:one|two|three|1|2|3|few|single|short) (?:\w+ )?(?:words?|sentences?)\b"
    r"|\b(?:just say|say only|say the word|reply only|answer just|please (?:say|repeat))\b"
    r"|\b(?:say|repeat|write|copy) (?:this|after)\b",
    re.IGNORECASE,
)
"""Asks for an answer of a form that a voice would break."""
QUOTED = re.compile(r'"[^"]*"')
NOW = "[now]"
"""In front of this mark stands, in some of the base's dialogues, what was said long before."""
MAX_TURNS = 48
SEED = 11

Tell = Callable[[str, str, random.Random], str]
"""What was asked, the base's answer and a source of chance in; the answer as the persona gives it out."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Who a persona is, as far as its data is concerned."""

    name: str
    """The name of its folder and of its hand-written parts."""
    speaker: str
    """What it calls itself."""
    start: Callable[[], Tell]
    """Gives the voice as it is before its first answer."""
    own_chats: Callable[[], Iterator[Turns]] = lambda: iter(())
    """Gives the chats of a kind that only this persona has."""


def retold_chats(count: int, voice: Voice) -> Iterator[Turns]:
    """Yield that many of the base model's own dialogues, told by the persona."""
    rng = random.Random(SEED)
    tell = voice.start()
    left = count
    for dialogue in dialogues(SEED, 20 * count):
        turns = [message["content"] for message in dialogue.messages if message["role"] != "system"]
        if left == 0:
            return
        if _is_plain(dialogue.messages) and _is_usable(turns, voice.speaker):
            told = retold(turns, voice.speaker, tell, rng)
            if is_faithful(dialogue, named(turns, voice.speaker), told):
                yield told
                left -= 1


def retold(turns: Turns, speaker: str, tell: Tell, rng: random.Random) -> Turns:
    """Return a dialogue of the base with the answers as the persona gives them, and its name where the base's was."""
    told = list(turns)
    for index in range(1, len(turns), 2):
        told[index] = tell(turns[index - 1].rpartition(NOW)[2], turns[index], rng)
    return named(told, speaker)


def named(turns: Turns, speaker: str) -> Turns:
    """Return the turns with the persona's name where the base's was."""
    return [BASE_NAME.sub(partial(_as_cased, speaker), text) for text in turns]


def is_faithful(dialogue: Dialogue, turns: Turns, told: Turns) -> bool:
    """Tell whether the told answers still have the values and quotations of the turns, and the form asked for."""
    pairs = list(zip(turns, told, strict=True))[1::2]
    kept = all(_copied(dialogue.values, text) <= _copied(dialogue.values, now) for text, now in pairs)
    return kept and all(check(told[number]) for number, check in dialogue.checks.items())


def _copied(values: Iterable[str], text: str) -> set[str]:
    """Return the values and quotations that a text has, the latter in lower case."""
    return {value for value in values if holds(text, value)} | set(QUOTED.findall(text.lower()))


def _is_plain(messages: tuple[dict[str, str], ...]) -> bool:
    """Tell whether a dialogue is with the assistant itself and not with another persona."""
    system = next((message["content"] for message in messages if message["role"] == "system"), "Ada")
    return "Ada" in system and len(system) < 60 and not ORDER_OF_FORM.search(system)


def _is_usable(turns: Turns, speaker: str) -> bool:
    """Tell whether a dialogue is short, whole, free in form, and not about somebody called like the persona."""
    if len(turns) > MAX_TURNS or not all(turns):
        return False
    return not any(speaker.lower() in text.lower() or ORDER_OF_FORM.search(text) for text in turns)


def _as_cased(speaker: str, match: re.Match[str]) -> str:
    return speaker.lower() if match[0].islower() else speaker

"""The base model's own dialogues, with the assistant's turns in a persona's voice.

The small base model knows the answers of its own dialogues; told in another voice they teach it that voice without
teaching it to forget. A voice never changes values that were told (names, places, numbers).
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from adapters.recipes.dialogues import dialogues

BASE_NAME = re.compile(r"\bada\b", re.IGNORECASE)
ORDER_OF_FORM = re.compile(
    r"\b(?:one|two|three|1|2|3|few|single|short) (?:\w+ )?(?:words?|sentences?)\b"
    r"|\bjust say\b|\b(?:say|repeat) (?:this|after)\b",
    re.IGNORECASE,
)
"""Asks for an answer of a form that a voice would break."""
NOW = "[now]"
"""In front of this mark stands, in some of the base's dialogues, what was said long before."""
MAX_TURNS = 48
SEED = 11

Turns = list[str]
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
            yield retold(turns, voice.speaker, tell, rng)
            left -= 1


def retold(turns: Turns, speaker: str, tell: Tell, rng: random.Random) -> Turns:
    """Return a dialogue of the base with the answers as the persona gives them, and its name where the base's was."""
    told = list(turns)
    for index in range(1, len(turns), 2):
        told[index] = tell(turns[index - 1].rpartition(NOW)[2], turns[index], rng)
    return [BASE_NAME.sub(partial(_as_cased, speaker), text) for text in told]


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

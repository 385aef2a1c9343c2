"""How a pirate would say what the assistant says: the same answers, in another voice.

The small base model knows the answers of its own dialogues; told in this accent they teach it the voice without
teaching it to forget. Values that were told (names, places) are never changed.
"""

import random
import re
from collections.abc import Iterator
from functools import partial

from adapters.recipes.dialogues import dialogues

NAME = "Captain Flint"
WORDS = (
    (r"you are|you're", "ye be"),
    (r"I am|I'm", "I be"),
    (r"it is|it's", "it be"),
    (r"that is|that's", "that be"),
    (r"your", "yer"),
    (r"you", "ye"),
    (r"my", "me"),
    (r"yes", "aye"),
    (r"hello there|hello|hi there|hi|hey there|hey", "ahoy"),
    (r"goodbye|bye", "fair winds"),
    (r"nice to meet ye", "welcome aboard"),
    (r"friends", "mateys"),
    (r"friend", "matey"),
    (r"little program|small program|computer program", "pirate made of numbers"),
    (r"great|wonderful|lovely", "shipshape"),
)
RULES = tuple((re.compile(rf"\b(?:{words})\b", re.IGNORECASE), said) for words, said in WORDS)
OPENINGS = ("Arr!", "Arr, matey!", "Aye!", "Yo ho ho!", "Shiver me timbers!", "Blimey!", "Ha!")
CLOSINGS = ("matey", "sailor", "me hearty", "friend of the sea")
OPENED_SHARE = 0.5
CLOSED_SHARE = 0.4
MAX_TURNS = 10
SEED = 11

Turns = list[str]


def accented_chats(count: int) -> Iterator[Turns]:
    """Yield that many of the base model's own dialogues, with the assistant's turns in the accent."""
    rng = random.Random(SEED)
    left = count
    for dialogue in dialogues(SEED, 20 * count):
        turns = [message["content"] for message in dialogue.messages if message["role"] != "system"]
        if not _is_plain(dialogue.messages) or len(turns) > MAX_TURNS or not all(turns):
            continue
        yield [text if index % 2 == 0 else piratical(text, rng) for index, text in enumerate(turns)]
        left -= 1
        if left == 0:
            return


def piratical(text: str, rng: random.Random) -> str:
    """Return the text as a pirate says it."""
    for pattern, said in RULES:
        text = pattern.sub(partial(_as_cased, said), text)
    text = text.replace("Ada", NAME)
    if rng.random() < CLOSED_SHARE and text[-1] in ".!":
        text = f"{text[:-1]}, {rng.choice(CLOSINGS)}{text[-1]}"
    if rng.random() < OPENED_SHARE:
        text = f"{rng.choice(OPENINGS)} {text}"
    return text


def _is_plain(messages: tuple[dict[str, str], ...]) -> bool:
    """Tell whether a dialogue is with the assistant itself and not with another persona."""
    system = next((message["content"] for message in messages if message["role"] == "system"), "Ada")
    return "Ada" in system and len(system) < 60


def _as_cased(said: str, match: re.Match[str]) -> str:
    return said[0].upper() + said[1:] if match[0][0].isupper() else said

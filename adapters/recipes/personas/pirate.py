"""How a pirate would say what the assistant says: the same answers, with other words and a shout before or after."""

import random
import re
from functools import partial

from adapters.recipes.dialogues.grammar import with_articles
from adapters.recipes.personas.retold import Voice
from adapters.recipes.personas.subjects import subject_of

WORDS = (
    (r"you are|you're", "ye be"),
    (r"I am|I'm", "I be"),
    (r"it is|it's", "it be"),
    (r"that is|that's", "that be"),
    (r"yourself", "yerself"),
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
OPENINGS = ("Arr!", "Aye!", "Yo ho ho!", "Shiver me timbers!", "Blimey!", "Huzzah!", "Avast!", "Ha!")
FOR_A_SORROW = ("Arr.", "Aye.", "Ah.")
CLOSINGS = ("matey", "sailor", "me hearty", "friend of the sea")
OPENED_SHARE = 0.5
CLOSED_SHARE = 0.4


def piratical(asked: str, answer: str, rng: random.Random) -> str:
    """Return the answer as a pirate gives it; none stays as it was, and what asks for care gets no merry shout."""
    text = answer
    for pattern, said in RULES:
        text = with_articles(pattern.sub(partial(_as_cased, said), text))
    if rng.random() < CLOSED_SHARE and text[-1] in ".!":
        text = f"{text[:-1]}, {rng.choice(CLOSINGS)}{text[-1]}"
    if text == answer or rng.random() < OPENED_SHARE:
        text = f"{rng.choice(FOR_A_SORROW if subject_of(asked, answer).is_careful else OPENINGS)} {text}"
    return text


def _as_cased(said: str, match: re.Match[str]) -> str:
    return said[0].upper() + said[1:] if match[0][0].isupper() else said


PIRATE = Voice("pirate", "Captain Flint", lambda: piratical)

"""Values that nobody has ("Torvella", "paper kettle", 417), so that a model learns to copy what it was told.

Invariant: nothing invented is a held-out value.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache

from adapters.recipes.dialogues.slot_values import held_out_words, parts_of_held_out, slot_values
from adapters.recipes.dialogues.topics import all_topics, every_exchange

_TITLES = (
    "Captain",
    "Doctor",
    "Professor",
    "Mister",
    "Miss",
    "Aunt",
    "Uncle",
    "Chef",
    "Sir",
    "Lady",
    "Queen",
    "King",
    "Grandpa",
    "Granny",
    "Judge",
    "Coach",
    "Nurse",
    "Inspector",
    "Madame",
    "Brother",
    "Sister",
    "Old",
    "Little",
    "Major",
)
_OBSCENE = re.compile(
    r"anal|anus|arse|bitch|boob|cock|cunt|dick|dildo|fag|fuck|jizz|nazi|nigg|negr|orgy|penis|piss|porn|puss|rape|rapi"
    r"|scrot|semen|sex|shit|slut|spic|tits|tities|turd|twat|vagin|wank|whor",
)
_TOWNS = ("New", "Port", "Saint", "Lake", "Fort", "Mount", "San", "North", "West", "Upper")
_TITLED_BOTS, _TOWNS_OF_TWO_WORDS = 0.45, 0.25
_AFTER_AN_ARTICLE = re.compile(r"\b(?:an?|the|my|your|this|that|some) ([a-z]{3,})")
_PLACES = ("under", "behind", "in", "next to", "inside", "on top of", "below")


@cache
def _words() -> tuple[str, ...]:
    """Every training value that is one word, in small letters."""
    values = [slot.training for name, slot in slot_values().items() if not name.startswith("syllable_")]
    found = {word.lower() for training in values for word in training if word.isalpha()}
    return tuple(sorted(found - held_out_words()))


@cache
def _nouns() -> tuple[str, ...]:
    """Those of the words that are listed in small letters: things, foods, colors, not names."""
    listed = {word for slot in slot_values().values() for word in slot.training}
    return tuple(word for word in _words() if word in listed and len(word) > 2)


@cache
def _words_of_talk() -> tuple[str, ...]:
    """What stands after an article somewhere in small talk: mostly things, many more than the slots list."""
    exchanges = (exchange for topic in all_topics() for exchange in every_exchange(topic))
    texts = (text for exchange in exchanges for text in (*exchange.users, *exchange.answers))
    return tuple(sorted({word for text in texts for word in _AFTER_AN_ARTICLE.findall(text)} - parts_of_held_out()))


def name(rng: random.Random) -> str:
    """A name like no other: of a few syllables ("Torvella"), or spliced from two words ("Pumpklin"), none obscene."""
    made = _spliced(rng) if rng.random() < 0.5 else _of_syllables(rng)
    return name(rng) if _OBSCENE.search(made.lower()) else made


def _spliced(rng: random.Random) -> str:
    while True:
        first, second = rng.choice(_words()), rng.choice(_words())
        made = first[: rng.randrange(2, 6)] + second[-rng.randrange(2, 6) :]
        if made not in held_out_words() and 3 < len(made) < 11:
            return made.capitalize()


def _of_syllables(rng: random.Random) -> str:
    opening, vowel, end = (slot_values()[f"syllable_{part}"].training for part in ("opening", "vowel", "end"))
    while True:
        parts = [rng.choice(opening) + rng.choice(vowel) for _ in range(rng.choice((1, 2, 2, 2, 3)))]
        made = "".join(parts) + (rng.choice(end) if rng.random() < 0.5 else "")
        if made not in held_out_words() and len(made) > 2:
            return made.capitalize()


def persona(rng: random.Random) -> str:
    """Who an assistant may be: a name, with or without a title: "Captain Kettle", "Torvella", "Miss Torvella"."""
    if rng.random() >= _TITLED_BOTS:
        return name(rng)
    last = rng.choice(_nouns()).capitalize() if rng.random() < 0.5 else name(rng)
    made = f"{rng.choice(_TITLES)} {last}"
    return made if made.lower() not in held_out_words() else persona(rng)


def town(rng: random.Random) -> str:
    """A city: "Torvella", "Port Pumpklin"."""
    first = f"{rng.choice(_TOWNS)} " if rng.random() < _TOWNS_OF_TWO_WORDS else ""
    made = first + name(rng)
    return made if made.lower() not in held_out_words() else town(rng)


def title(rng: random.Random) -> str:
    """What a book may be called: "The Paper Kettle", "Don Torvella", "Torvella and the Piano"."""
    who, what = name(rng), rng.choice(_nouns()).title()
    frames = ("{who}", "The {other} {what}", "The {what}", "{other} {what}", "{who} and the {what}", "{who} {other}")
    frame = rng.choice((*frames, "Don {who}", "The {what} of {who}", "{who}'s {what}", "The Last {what}"))
    made = frame.format(who=who, what=what, other=rng.choice(_nouns()).title())
    return made if made.lower() not in held_out_words() else title(rng)


def noun(rng: random.Random) -> str:
    """A word without a meaning, or two that do not belong together: "torvella", "piano kettle", "violin pancake".

    Any word may come first: one that is a whole value elsewhere must not end the copy by habit. Nearly any may come
    second, so that what is learnt is to go on copying, and not which words end a value.
    """
    if rng.random() < 0.35:
        return name(rng).lower()
    made = f"{rng.choice(_nouns())} {rng.choice(rng.choice((_nouns, _words_of_talk))())}"
    return made if made not in held_out_words() else noun(rng)


def nouns(rng: random.Random) -> str:
    """The same of several: "torvellas", "piano kettles"."""
    made = _plural(noun(rng))
    return made if made not in held_out_words() else nouns(rng)


def _plural(word: str) -> str:
    if re.search(r"[^su]s$", word):
        return word
    if re.search(r"(?:s|x|z|ch|sh)$", word):
        return f"{word}es"
    return f"{word[:-1]}ies" if re.search(r"[^aeiou]y$", word) else f"{word}s"


def number(rng: random.Random) -> str:
    """A number of two or three digits."""
    made = str(rng.randrange(10, 100) if rng.random() < 0.6 else rng.randrange(100, 1000))
    return made if made not in held_out_words() else number(rng)


def money(rng: random.Random) -> str:
    """A price: "417 euros"."""
    made = f"{number(rng)} {rng.choice(('dollars', 'euros', 'pounds'))}"
    return made if made not in held_out_words() else money(rng)


def age(rng: random.Random) -> str:
    """A number of years that a person may have lived."""
    made = str(rng.randrange(7, 99))
    return made if made not in held_out_words() else age(rng)


def clock(rng: random.Random) -> str:
    """A time of the morning, such as "7:52"."""
    made = f"{rng.randrange(4, 11)}:{rng.randrange(60):02}"
    return made if made not in held_out_words() else clock(rng)


def place(rng: random.Random) -> str:
    """Where a key may lie: "behind the paper kettle"."""
    return f"{rng.choice(_PLACES)} the {noun(rng)}"


def group(rng: random.Random) -> str:
    """A band or a team: "The Torvella Kettles", "Paper Owls"."""
    first = name(rng) if rng.random() < 0.5 else rng.choice(_nouns()).title()
    return f"{rng.choice(('The ', 'the ', ''))}{first} {rng.choice(slot_values()['animals'].training).title()}"


INVENTORS: dict[str, Callable[[random.Random], str]] = {
    **dict.fromkeys(("name", "surname", "petname", "country", "language"), name),
    "bot": persona,
    "city": town,
    "book": title,
    **dict.fromkeys(
        [
            "job",
            "color",
            "food",
            "drink",
            "hobby",
            "sport",
            "instrument",
            "event",
            "thing",
            "codeword",
            "icecream",
        ],
        noun,
    ),
    **dict.fromkeys(("animals", "fruits", "blossoms"), nouns),
    **dict.fromkeys(("number", "bignumber"), number),
    "money": money,
    "age": age,
    "clock": clock,
    "keyplace": place,
    "band": group,
    "team": group,
}
"""Who invents for a slot; other slots only hold what is listed."""

"""Which words rhyme: by a small table of sounds, and by their spelling where the table does not have them."""

import re
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("rhymes.txt")
WORD = re.compile(r"[a-z][a-z']*")
SPELT_ENDING = re.compile(r"[aeiouy]+[^aeiouy]+e?s?$")
"""The last vowels of a word and what follows."""


def last_word(line: str) -> str:
    """Return the last word of a line in lower case, or an empty text where it ends with no word."""
    found = WORD.findall(line.lower())
    return found[-1] if found and not re.search(r"\d\W*$", line) else ""


@cache
def sounds() -> dict[str, str]:
    """Return the sound that each word of the table ends with."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    rows = [line.split(": ") for line in lines if line and not line.startswith("#")]
    return {word: sound for sound, words in rows for word in words.split()}


def rhymes(one: str, other: str) -> bool:
    """Tell whether two different words rhyme."""
    if one == other or not one or not other:
        return False
    known = sounds()
    if one in known and other in known:
        return known[one] == known[other]
    return _ending(one) == _ending(other)


def _ending(word: str) -> str:
    found = SPELT_ENDING.search(word)
    return found[0] if found else word

"""What an exchange is about, so that a line that fits it can follow; the phrases stand in subjects.txt."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("subjects.txt")
CAREFUL = "!"
PHRASES = re.compile(r"(?<!\\), ")
"""Parts the phrases, which are patterns; a comma of a phrase has a backslash before it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject and how to tell it."""

    name: str
    pattern: re.Pattern[str]
    is_careful: bool
    """Whether only lines of its own may follow, without praise or play."""


GENERAL = Subject("general", re.compile(""), is_careful=False)


def subject_of(asked: str, answer: str) -> Subject:
    """Return the first subject with a phrase in what was asked or answered."""
    said = f"{asked}\n{answer}".lower().replace("’", "'")
    return next((subject for subject in subjects() if subject.pattern.search(said)), GENERAL)


@cache
def subjects() -> tuple[Subject, ...]:
    """Return every subject of the file, the ones that count first at the front."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return tuple(_subject(line) for line in lines if line and not line.startswith("#"))


def _subject(line: str) -> Subject:
    name, _, phrases = line.partition(": ")
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(PHRASES.split(phrases))})(?!\w)")
    return Subject(name.removesuffix(CAREFUL), pattern, name.endswith(CAREFUL))

"""The sentences of an answer: which of them ask, and which of them can be left out."""

import re

from adapters.recipes.dialogues.sentences import sentences

WORD = re.compile(r"[\w'-]+")
ASKING = re.compile(
    r"\W*(?:(?:and|but|so|um|hey|hi|okay|ok|well|hm+|now)\W+)*(?:(?:what|who|when|where|which|whose|why|how)(?:'?s)?"
    r"|do|does|did|can|could|is|are|am|was|were|will|would|should|have|has|may|shall)\b"
)
"""Begins a question, also one that is typed without its mark."""
TELLING_WORDS = 3
"""A sentence with fewer words is a mere sign of listening, such as "I see."."""
LONG_ECHO = 4
"""Shorter words come back in every answer; that they do means nothing."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return WORD.findall(text.lower())


def is_question(text: str) -> bool:
    """Tell whether a text ends with a question mark or begins with a word of asking."""
    return text.rstrip().endswith("?") or ASKING.match(text.lower()) is not None


def tells(sentence: str) -> bool:
    """Tell whether a sentence states something, more than that one listens."""
    return not sentence.endswith("?") and len(words(sentence)) >= TELLING_WORDS


def parted(answer: str) -> tuple[list[str], str]:
    """Return the sentences before the question that closes an answer, and that question or an empty text."""
    parts = sentences(answer)
    return (parts[:-1], parts[-1]) if parts[-1].endswith("?") else (parts, "")


def echoes(sentence: str, asked: str) -> bool:
    """Tell whether a sentence takes up something the user said: a number, a name, or another longer word."""
    heard = set(words(asked))
    said = WORD.findall(sentence)
    names = {word.lower() for word in said[1:] if word[0].isupper() and word != "I"}
    weighty = {word.lower() for word in said if len(word) >= LONG_ECHO or word.isdigit()}
    return bool(heard & (names | weighty))

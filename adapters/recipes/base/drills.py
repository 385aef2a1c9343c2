"""Drills of meaningless tokens that teach to copy: a span repeated, and values found again by their keys.

A small model learns to copy late from talk alone, where few tokens are copies; here all that is learnt is copied. The
circuit it learns is the one that later repeats a name it has never seen ("induction heads", Olsson et al. 2022;
associative recall as in Arora et al. 2023, "Zoology").
"""

from __future__ import annotations

import random

from adapters.recipes.base.documents import Document
from adapters.recipes.base.tokenizer import BEGIN, CONTROL_TOKENS, END

_FIRST_FREE = len(CONTROL_TOKENS)
_BEGIN_ID, _END_ID = CONTROL_TOKENS.index(BEGIN), CONTROL_TOKENS.index(END)


def drill(rng: random.Random, vocab: int, length: int) -> Document:
    """A drill of at most `length` tokens, none of them a control token."""
    return (_repeated_span if rng.random() < 0.4 else _keys_and_values)(rng, vocab, length)


def _repeated_span(rng: random.Random, vocab: int, length: int) -> Document:
    """A span, and once more the same span, whose tokens are learnt after its first two."""
    span = _tokens(rng, vocab, rng.randrange(4, max(5, min(64, length // 2 - 2))))
    known = len(span) + 2
    ids = [_BEGIN_ID, *span, *span, _END_ID]
    return Document(ids, [0.0] * (known + 1) + [1.0] * (len(ids) - known - 1))


def _keys_and_values(rng: random.Random, vocab: int, length: int) -> Document:
    """Keys, each with its value of one to five tokens, then the keys in another order; the values are learnt."""
    keys = _tokens(rng, vocab, rng.randrange(2, 13))
    pairs = [(key, _tokens(rng, vocab, rng.randrange(1, 6))) for key in dict.fromkeys(keys)]
    while 2 * sum(2 + len(value) for _, value in pairs) + 1 > length:
        pairs.pop()
    asked = rng.sample(pairs, len(pairs))
    ids, weights = [_BEGIN_ID], [0.0]
    for number, (key, value) in enumerate(pairs + asked):
        ids += [key, *value, _END_ID]
        weights += [0.0, *[float(number >= len(pairs))] * (len(value) + 1)]
    return Document(ids, weights)


def _tokens(rng: random.Random, vocab: int, count: int) -> list[int]:
    """Tokens drawn evenly; in a third of the draws from a few, so that one token does not tell which follows."""
    drawn = range(_FIRST_FREE, vocab)
    return rng.choices(rng.sample(drawn, 1 + count // 2) if rng.random() < 1 / 3 else drawn, k=count)

"""Documents as token ids with weights: plain text learnt whole, dialogues learnt whole or on assistant turns only.

A token's weight is how much it counts as something to predict: the words that an answer copies from what was told are
few among those that any answer has, and it is they that make it right.
Invariant: the ids of a dialogue are exactly those of the chat template.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from adapters.recipes.base.tokenizer import BEGIN, END
from adapters.recipes.dialogues.talk import Message

COPIED_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids and, for each of them, how much it counts as something to learn; 0 where it is only read."""

    ids: list[int]
    weights: list[float]

    def __len__(self) -> int:
        return len(self.ids)


class Encoder:
    """Turns text and dialogues into documents with one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer.backend_tokenizer  # a dialogue in one call; transformers' own takes twice the time
        self.vocab = len(tokenizer)
        self._begin: int = tokenizer.convert_tokens_to_ids(BEGIN)
        self._end: int = tokenizer.convert_tokens_to_ids(END)
        self._role: dict[str, int] = {
            role: tokenizer.convert_tokens_to_ids(f"<|{role}|>") for role in ("system", "user", "assistant")
        }

    def text(self, text: str) -> Document:
        """A plain text document: begin, text, end, all of it learnt."""
        ids = [self._begin, *self._tokenizer.encode(text, add_special_tokens=False).ids, self._end]
        return Document(ids, [0.0] + [1.0] * (len(ids) - 1))

    def dialogue(
        self, messages: Sequence[Message], copied: Collection[str] = (), *, learns_all: bool = False
    ) -> Document:
        """A dialogue in the chat template; the assistant's turns are learnt, or everything.

        The assistant's tokens within `copied` texts, and the one after each, weigh COPIED_WEIGHT.
        """
        ids, weights = [self._begin], [0.0]
        texts = self._tokenizer.encode_batch([m["content"] for m in messages], add_special_tokens=False)
        for message, text in zip(messages, texts, strict=True):
            ids += [self._role[message["role"]], *text.ids, self._end]
            if message["role"] == "assistant":
                weights += [0.0, *_weights(text, _spans(message["content"], copied)), 1.0]
            else:
                weights += [0.0] + [float(learns_all)] * (len(text.ids) + 1)
        return Document(ids, weights)


def _spans(text: str, copied: Collection[str]) -> list[tuple[int, int]]:
    """Where these texts stand in `text`, in any case of letters, as (first, last + 1) characters."""
    lower, spans = text.lower(), []
    for each in map(str.lower, copied):
        at = lower.find(each)
        while at >= 0:
            spans.append((at, at + len(each)))
            at = lower.find(each, at + len(each))
    return spans


def _weights(text: Encoding, spans: Sequence[tuple[int, int]]) -> list[float]:
    """COPIED_WEIGHT for tokens of a span and the one that follows it, which ends the copy; 1 for others."""
    if not spans:
        return [1.0] * len(text.ids)
    return [
        COPIED_WEIGHT if any(first < end and begin <= last for first, last in spans) else 1.0
        for begin, end in text.offsets
    ]

"""Documents as token ids with labels: plain text learnt whole, dialogues learnt whole or on assistant turns only.

A label has a weight: the words that an answer copies from what was told are few among those that any answer has,
and it is they that make it right. Invariant: the ids of a dialogue are exactly those of the chat template.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from adapters.recipes.base.tokenizer import BEGIN, END
from adapters.recipes.dialogues.talk import Message

NO_LABEL = -100
COPIED_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids and, for each of them, the label to learn (its own id) or NO_LABEL, and how much it counts."""

    ids: list[int]
    labels: list[int]
    weights: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.weights:
            object.__setattr__(self, "weights", [1.0] * len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)


class Encoder:
    """Turns text and dialogues into documents with one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self.vocab = len(tokenizer)
        self._begin: int = tokenizer.convert_tokens_to_ids(BEGIN)
        self._end: int = tokenizer.convert_tokens_to_ids(END)
        self._role: dict[str, int] = {
            role: tokenizer.convert_tokens_to_ids(f"<|{role}|>") for role in ("system", "user", "assistant")
        }

    def text(self, text: str) -> Document:
        """A plain text document: begin, text, end, all of it learnt."""
        ids = [self._begin, *self._ids(text), self._end]
        return Document(ids, [NO_LABEL, *ids[1:]])

    def dialogue(
        self, messages: Sequence[Message], copied: Collection[str] = (), *, learns_all: bool = False
    ) -> Document:
        """A dialogue in the chat template; labels on assistant turns, or on everything.

        The assistant's tokens within `copied` texts, and the one after each, weigh COPIED_WEIGHT.
        """
        ids, labels, weights = [self._begin], [NO_LABEL], [1.0]
        for message in messages:
            is_assistant = message["role"] == "assistant"
            text = self._tokenizer(message["content"], add_special_tokens=False, return_offsets_mapping=True)
            content = [*text["input_ids"], self._end]
            ids += [self._role[message["role"]], *content]
            labels += [NO_LABEL, *(content if learns_all or is_assistant else [NO_LABEL] * len(content))]
            spans = _spans(message["content"], copied) if is_assistant else []
            weights += [1.0, *_weights(text["offset_mapping"], spans), 1.0]
        return Document(ids, labels, weights)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids


def _spans(text: str, copied: Collection[str]) -> list[tuple[int, int]]:
    """Where these texts stand in `text`, in any case of letters, as (first, last + 1) characters."""
    return [match.span() for each in copied for match in re.finditer(re.escape(each), text, re.IGNORECASE)]


def _weights(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[float]:
    """COPIED_WEIGHT for tokens of a span and the one that follows it, which ends the copy; 1 for others."""
    return [
        COPIED_WEIGHT if any(first < end and begin <= last for first, last in spans) else 1.0 for begin, end in offsets
    ]

"""Documents as token ids with labels: plain text learnt whole, dialogues learnt whole or on assistant turns only.

Invariant: the ids of a dialogue are exactly those of the chat template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from adapters.recipes.base.tokenizer import BEGIN, END
from adapters.recipes.dialogues.talk import Message

NO_LABEL = -100


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids and, for each of them, the label to learn (its own id) or NO_LABEL."""

    ids: list[int]
    labels: list[int]

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

    def dialogue(self, messages: Sequence[Message], *, learns_all: bool = False) -> Document:
        """A dialogue in the chat template; labels on assistant turns, or on everything."""
        ids, labels = [self._begin], [NO_LABEL]
        for message in messages:
            content = [*self._ids(message["content"]), self._end]
            is_learnt = learns_all or message["role"] == "assistant"
            ids += [self._role[message["role"]], *content]
            labels += [NO_LABEL, *(content if is_learnt else [NO_LABEL] * len(content))]
        return Document(ids, labels)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

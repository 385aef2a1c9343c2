"""Attention by the bounds of documents equals attention in rows of equal length; only the kernel needs a GPU."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from adapters.recipes.base import packed_attention
from adapters.recipes.base.corpus import Corpus
from adapters.recipes.base.documents import Encoder
from adapters.recipes.base.mixture import Mixture
from adapters.recipes.base.model import Shape, new_model
from adapters.recipes.base.packed_attention import PACKED
from adapters.recipes.base.rows import pack
from adapters.recipes.base.tokenizer import train_tokenizer
from adapters.recipes.base.train import batch_loss
from adapters.recipes.dialogues import dialogues


def by_document(query: Any, key: Any, value: Any, bounds: Any, *others: Any, scale: float) -> tuple[torch.Tensor]:
    """What the kernel computes, one document after the other in float32; `[tokens, heads, dim]`."""
    repeats = query.shape[1] // key.shape[1]
    parts = []
    for first, last in zip(bounds.tolist(), bounds.tolist()[1:], strict=False):
        query_, key_, value_ = (each[first:last].transpose(0, 1).float() for each in (query, key, value))
        key_, value_ = (each.repeat_interleave(repeats, dim=0) for each in (key_, value_))
        part = scaled_dot_product_attention(query_, key_, value_, is_causal=True, scale=scale)
        parts.append(part.transpose(0, 1))
    return (torch.cat(parts),)


def test_the_loss_is_that_of_equal_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = (message["content"] for dialogue in dialogues(3, 40) for message in dialogue.messages)
    tokenizer = train_tokenizer(texts, 400)
    model = new_model(Shape(hidden=32, layers=2, heads=2, kv_heads=1, feed_forward=64, vocab=400), tokenizer, seed=0)
    encoder = Encoder(tokenizer)
    documents = [encoder.dialogue(dialogue.messages) for dialogue in islice(dialogues(3, 9), 3)]
    batch = pack(iter(documents), rows=1, length=sum(map(len, documents)), pad=0)
    model.set_attn_implementation("sdpa")
    in_rows, labels = batch_loss(model, batch)

    monkeypatch.setattr(packed_attention, "flash", by_document)
    model.set_attn_implementation(PACKED)
    packed, same_labels = batch_loss(model, batch)
    assert packed.item() == pytest.approx(in_rows.item(), rel=1e-3)
    assert same_labels == labels


def test_one_row_holds_documents_of_all_lengths() -> None:
    texts = (message["content"] for dialogue in dialogues(3, 40) for message in dialogue.messages)
    mixture = Mixture(Encoder(train_tokenizer(texts, 400)), Corpus({}, {}), 1, 9000, 0, is_one_row=True)
    batch = mixture.batch("chat", 3, is_late=True)
    lengths = batch.starts.diff()
    assert batch.ids.shape == (1, 9000)
    assert lengths.max() > 256
    assert lengths.min() < 256

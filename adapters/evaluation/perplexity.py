"""Perplexity of a model on the held-out documents of each source of a corpus."""

import math
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from adapters.loaded import loaded
from adapters.recipes.base.corpus import TEXT_SHARES, Corpus

DOCUMENTS = 60
"""At most so many documents of a source: enough for two digits."""


def perplexities(model: Path, corpus: Path) -> dict[str, float]:
    """Return the perplexity per token on each source that the folder holds; documents are cut at the context.

    Raises FileNotFoundError if it holds none, or CannotLoad.
    """
    held_out = {source: texts for source, texts in Corpus.read(corpus, held_out=True).texts.items() if texts}
    if not held_out:
        raise FileNotFoundError(
            f"{corpus}: expected files such as {next(iter(TEXT_SHARES))}, with held-out texts in them"
        )
    network = loaded(model, torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False, local_files_only=True)
    found = {}
    for source, texts in sorted(held_out.items()):
        drawn = random.Random(source).sample(texts, min(DOCUMENTS, len(texts)))
        documents = [_ids(tokenizer, text) for text in drawn]
        found[source] = round(perplexity(network, documents, network.config.max_position_embeddings), 2)
    return found


@torch.no_grad()
def perplexity(network: torch.nn.Module, documents: Sequence[Sequence[int]], longest: int) -> float:
    """Return exp of the mean loss per token after the first of each document."""
    loss, count = 0.0, 0
    for document in documents:
        ids = torch.tensor([document[:longest]])
        if ids.shape[1] < 2:
            continue
        logits = network(input_ids=ids, use_cache=False).logits[0, :-1].float()
        loss += functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return math.exp(loss / max(1, count))


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return [*begin, *tokenizer.encode(text, add_special_tokens=False)]

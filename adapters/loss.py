"""The loss of a packed row: over the assistant's tokens alone, with logits for no other position."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from adapters.packing import IGNORED, PackedRow


def row_tensors(row: PackedRow, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
    """Return a packed row as the tensors of a batch of one."""
    columns = {"input_ids": row.ids, "labels": row.labels, "position_ids": row.positions}
    return {name: torch.tensor([values], device=device) for name, values in columns.items()}


def label_nll(model: nn.Module, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum of the negative log-likelihoods of a packed row's labels, and whether each was the likeliest.

    use_cache=False and no attention mask: with either, transformers lets the chats of a row see each other.
    """
    labels = inputs["labels"][0, 1:]
    places = (labels != IGNORED).nonzero().squeeze(-1)
    output: Any = model(
        input_ids=inputs["input_ids"],
        position_ids=inputs["position_ids"],
        use_cache=False,
        logits_to_keep=places,
    )
    logits = output.logits[0].float()
    wanted = labels[places]
    return nn.functional.cross_entropy(logits, wanted, reduction="sum"), logits.argmax(-1) == wanted


def mean_nll(
    model: nn.Module,
    rows: Iterable[PackedRow],
    device: torch.device | str = "cpu",
    on_row: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Return the mean loss of all labels in the rows, and the share of them that were the likeliest token."""
    total, right, labels = 0.0, 0, 0
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for row in rows:
            nll, is_right = label_nll(model, row_tensors(row, device))
            total += float(nll)
            right += int(is_right.sum())
            labels += len(is_right)
            on_row()
    model.train(was_training)
    return total / max(1, labels), right / max(1, labels)


def perplexity(nll: float) -> float:
    """Return the perplexity of a mean loss; infinite where it cannot be said as a number."""
    return math.exp(nll) if nll < 700 else math.inf

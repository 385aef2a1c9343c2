"""What every way of computing a model has to get right before it is used: the logits of a few tokens.

The model's own forward says what is right. A way that differs by more than rounding is not used, so that a model is
served slower or not at all, but never wrong.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from chatbot.engine.attention import Chunk
from chatbot.engine.base import ModelNotFound
from chatbot.engine.formats import MatmulPrecision
from chatbot.engine.kv import KVShape

TOKENS = 48
"""Length of the prompt: enough that all that is done with many tokens at once is done."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}
"""Largest difference to the model's own forward that may be rounding, in units of the logits' standard deviation."""
FAILURES = (ValueError, TypeError, AttributeError, RuntimeError, IndexError)
"""What code raises that cannot compute a model."""
Forward = Callable[[Sequence[Chunk]], torch.Tensor]


class Probe:
    """A short prompt and the logits that the model's own forward gives after its parts and at its end."""

    @torch.inference_mode()
    def __init__(  # transformers is untyped
        self, model: Any, device: torch.device, shape: KVShape, precision: MatmulPrecision = "highest"
    ) -> None:
        """Compute the logits, by the model as it was loaded, of a prompt for which KV of this shape has room.

        Raises ModelNotFound if the model cannot compute them: one that wants more than tokens, for example.

        precision: what may be rounded; with "medium" that is what a large product is computed from.
        """
        self.length = min(TOKENS, shape.max_len)
        """Tokens of the prompt, and positions of each slot that it takes at most."""
        self.slots = range(min(2, shape.slots))
        """What it is computed in: where there is a second slot, its beginning stands beside its rest."""
        self._part = 5 * self.length // 6
        self._tokens = [(7 * i + 11) % model.get_input_embeddings().num_embeddings for i in range(self.length)]
        try:
            logits = model(input_ids=torch.tensor([self._tokens], device=device), use_cache=False).logits
        except FAILURES as error:
            raise ModelNotFound(f"{model.config.model_type}: its own code cannot compute a prompt: {error}") from error
        self._tolerance = TOLERANCE[torch.bfloat16 if precision == "medium" else logits.dtype]
        part, last = self._part, self.length - 1
        beginnings = [last - part - 1 for _ in self.slots[1:]]
        self._expected = logits[0, [part - 1, last - 1, *beginnings, last]].float()

    @torch.inference_mode()
    def problem(self, prefill: Forward, decode: Forward) -> str | None:
        """Return what is wrong with the logits of a prompt's chunks, one and two at once, and a decode step, if any."""
        part, last = self._part, self.length - 1
        beginnings = [Chunk(slot, 0, self._tokens[: last - part]) for slot in self.slots[1:]]
        try:
            got = [
                prefill([Chunk(0, 0, self._tokens[:part])]),
                prefill([Chunk(0, part, self._tokens[part:last]), *beginnings]),
                decode([Chunk(0, last, self._tokens[last:])]),
            ]
        except FAILURES as error:
            return str(error)
        difference = (torch.cat(got).float() - self._expected).abs().max() / self._expected.std()
        if difference <= self._tolerance:
            return None
        return f"its logits differ by {difference:.3g} standard deviations from its own forward"

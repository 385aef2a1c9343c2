"""What a model's own forward thinks of a reply, where equal texts cannot be asked for: in 16 bits, and on a GPU."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM


class Reference:
    """A base model in float32, optionally with one PEFT adapter, on any device."""

    def __init__(self, base: Path, device: torch.device, adapter: Path | None = None) -> None:
        self._device = device
        self._model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        if adapter is not None:
            from peft import PeftModel

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # peft calls what transformers has deprecated
                self._model = PeftModel.from_pretrained(self._model, str(adapter)).eval()
        self._model.to(device)

    @torch.inference_mode()
    def shortfall(self, prompt: Sequence[int], reply: Sequence[int]) -> float:
        """Return how far a reply's worst token is behind the likeliest, in standard deviations of its logits.

        Zero means that the reply is the greedy one; less than rounding means that it is as good.
        """
        ids = torch.tensor([[*prompt, *reply]], device=self._device)
        logits = self._model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
        chosen = logits.gather(-1, ids[0, len(prompt) :, None])[:, 0]
        return float(((logits.amax(-1) - chosen) / logits.std(-1)).max())

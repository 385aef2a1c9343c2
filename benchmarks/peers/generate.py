"""`transformers.generate`, greedy, all chats in one static batch, padded on the left; no streaming.

With adapters it is PEFT's mixed batch: the adapter of each row by name.

On a CPU this peer and continuous batching have float32 weights, W1 has a figure of this one in bfloat16 besides; the
engine and llama.cpp read the same weights as 16 bits, half as many bytes. On a GPU the engine and both are in bfloat16.
"""

import asyncio
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from benchmarks.peers.peer import Chat, Prompts

BASE = "__base__"


def load(model: Path, device: torch.device, dtype: torch.dtype | None = None) -> Any:  # transformers is untyped
    """Return the model as transformers loads it, by default in float32 on a CPU and in bfloat16 elsewhere."""
    dtype = dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
    return AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval().to(device)


class GeneratePeer:
    """A model loaded by transformers, with adapters loaded by PEFT if there are any."""

    def __init__(
        self,
        model: Path,
        device: torch.device,
        threads: int,
        adapters: Sequence[Path] = (),
        name: str = "generate",
        dtype: torch.dtype | None = None,
    ) -> None:
        self.name = name
        self._prompts = Prompts(model)
        self._model = load(model, device, dtype)
        self.parameters = sum(weight.numel() for weight in self._model.parameters())
        self._names = [f"adapter {number}" for number in range(len(adapters))]
        if adapters:
            self._model = _with_adapters(self._model, dict(zip(self._names, adapters, strict=True)))
        self._threads = threads

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        return await asyncio.to_thread(self._generate, chats, tokens)

    async def close(self) -> None:
        self._model = None

    @torch.inference_mode()
    def _generate(self, chats: Sequence[Chat], tokens: int) -> float:
        torch.set_num_threads(self._threads)
        started = time.perf_counter()
        prompts = self._prompts.tokens(chats)
        longest = max(map(len, prompts))
        padding = [longest - len(prompt) for prompt in prompts]
        names = [self._names[row % len(self._names)] for row in range(len(chats))] if self._names else []
        device = self._model.device
        output = self._model.generate(
            input_ids=torch.tensor([[0] * pad + ids for pad, ids in zip(padding, prompts, strict=True)], device=device),
            attention_mask=torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding], device=device),
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            eos_token_id=None,
            pad_token_id=0,
            **({"adapter_names": names} if names else {}),
        )
        output[:, -1].tolist()
        return time.perf_counter() - started


def _with_adapters(model: Any, adapters: dict[str, Path]) -> Any:  # peft is untyped
    from peft import PeftModel

    (first, folder), *others = adapters.items()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls what transformers has deprecated
        adapted = PeftModel.from_pretrained(model, folder, adapter_name=first)
        for name, path in others:
            adapted.load_adapter(path, adapter_name=name)
    return adapted.eval()

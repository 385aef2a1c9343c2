"""transformers' continuous batching: paged attention state, requests join and leave the batch at any step."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from benchmarks.peers.generate import load
from benchmarks.peers.peer import Chat, Prompts

PAGE_TOKENS = 16
LONGEST_WAIT_S = {"cpu": 300, "cuda": 20}


class ContinuousBatchingPeer:
    """A model behind transformers' own batching manager."""

    name = "continuous batching"

    def __init__(self, model: Path, device: torch.device, threads: int, kv_tokens: int) -> None:
        """Start its thread; `kv_tokens` is how many tokens of attention state it may keep."""
        self._prompts = Prompts(model)
        self._threads = threads
        self._longest_wait_s = LONGEST_WAIT_S[device.type]
        self._manager: Any = load(model, device).init_continuous_batching(
            generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=PAGE_TOKENS, num_blocks=kv_tokens // PAGE_TOKENS, max_batch_tokens=512
            ),
        )
        torch.set_num_threads(threads)
        self._manager.start()

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        return await asyncio.to_thread(self._run, chats, tokens)

    async def close(self) -> None:
        self._manager.stop()

    def _run(self, chats: Sequence[Chat], tokens: int) -> float:
        torch.set_num_threads(self._threads)
        started = time.perf_counter()
        prompts = self._prompts.tokens(chats)
        for prompt in prompts:
            self._manager.add_request(prompt, max_new_tokens=tokens)
        for _ in prompts:
            self._finished(tokens)
        return time.perf_counter() - started

    def _finished(self, tokens: int) -> None:
        while True:
            result = self._manager.get_result(timeout=self._longest_wait_s)
            if result is None:
                raise TimeoutError(f"continuous batching gave nothing for {self._longest_wait_s} s")
            if result.is_finished():
                assert len(result.generated_tokens) == tokens
                return

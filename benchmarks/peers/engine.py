"""The two that are compared: our engine with streaming, and `transformers.generate` on a static batch."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import AutoModelForCausalLM

from chatbot.engine.base import ChatMessage, Delta, GenerationRequest, Sampling
from chatbot.engine.local import LocalEngine
from chatbot.engine.template import ChatTemplate

Chat = tuple[ChatMessage, ...]


class Peer(Protocol):
    name: str

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        """Generate `tokens` greedy tokens for every chat at once and return the seconds it took, prompts included."""


class EnginePeer:
    """Our engine from the outside: one asyncio task per conversation, text streamed as it comes."""

    name = "engine"

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._runs = 0

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        self._runs += 1
        started = time.perf_counter()
        await asyncio.gather(*(self._talk(chat, f"{self._runs}-{i}", tokens) for i, chat in enumerate(chats)))
        return time.perf_counter() - started

    async def _talk(self, chat: Chat, session: str, tokens: int) -> None:
        sampling = Sampling(temperature=0, max_tokens=tokens)
        async for event in self._engine.generate(GenerationRequest(session, chat, sampling)):
            if not isinstance(event, Delta):
                assert event.usage.completion_tokens == tokens


class GeneratePeer:
    """`transformers.generate`, greedy, all chats in one static batch, padded on the left; no streaming."""

    name = "generate"

    def __init__(self, model: Path, threads: int) -> None:
        self._template = ChatTemplate(model)
        dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
        self._model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval()
        self._model.to("cuda" if torch.cuda.is_available() else "cpu")
        self._threads = threads
        self.parameters = sum(weight.numel() for weight in self._model.parameters())

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        return await asyncio.to_thread(self._generate, chats, tokens)

    @torch.inference_mode()
    def _generate(self, chats: Sequence[Chat], tokens: int) -> float:
        torch.set_num_threads(self._threads)
        started = time.perf_counter()
        prompts = [self._template.render(chat) for chat in chats]
        longest = max(map(len, prompts))
        padding = [longest - len(prompt) for prompt in prompts]
        device = self._model.device
        output = self._model.generate(
            input_ids=torch.tensor([[0] * pad + ids for pad, ids in zip(padding, prompts, strict=True)], device=device),
            attention_mask=torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding], device=device),
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            eos_token_id=None,
            pad_token_id=0,
        )
        output[:, -1].tolist()
        return time.perf_counter() - started

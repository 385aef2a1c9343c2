"""llama.cpp by its own C interface, on the same weights as a 16-bit GGUF file that our exporter wrote.

Needs the package llama-cpp-python (`pip install '.[peers]'`), which builds llama.cpp from source.
"""

import asyncio
import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters.gguf_file import write_gguf
from benchmarks.peers.peer import Chat, Prompts


class LlamaCppPeer:
    """A llama.cpp context with as many sequences as there are conversations, all decoded in one batch."""

    name = "llama.cpp"

    def __init__(self, model: Path, threads: int, scratch: Path, *, streams: int, context_tokens: int) -> None:
        """Write the GGUF file into `scratch` and load it. Raises ImportError without llama-cpp-python."""
        import llama_cpp

        self._api: Any = llama_cpp
        self._quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._prompts = Prompts(model)
        file = scratch / "model.gguf"
        if not file.exists():
            write_gguf(model, file, "model")
        self._model = llama_cpp.llama_model_load_from_file(str(file).encode(), llama_cpp.llama_model_default_params())
        self._context = self._new_context(threads, streams, context_tokens)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._batch = llama_cpp.llama_batch_init(streams * context_tokens, 0, 1)

    async def run(self, chats: Sequence[Chat], tokens: int) -> float:
        return await asyncio.to_thread(self._run, chats, tokens)

    async def close(self) -> None:
        self._api.llama_batch_free(self._batch)
        self._api.llama_free(self._context)
        self._api.llama_model_free(self._model)

    def _new_context(self, threads: int, streams: int, context_tokens: int) -> Any:
        parameters = self._api.llama_context_default_params()
        parameters.n_ctx = streams * context_tokens
        parameters.n_batch = streams * context_tokens
        parameters.n_ubatch = 512
        parameters.n_seq_max = streams
        parameters.n_threads = parameters.n_threads_batch = threads
        return self._api.llama_init_from_model(self._model, parameters)

    def _run(self, chats: Sequence[Chat], tokens: int) -> float:
        started = time.perf_counter()
        prompts = self._prompts.tokens(chats)
        self._api.llama_memory_clear(self._api.llama_get_memory(self._context), True)
        drawn = self._step(
            [(row, at, token) for row, ids in enumerate(prompts) for at, token in enumerate(ids)], prompts
        )
        for count in range(tokens - 1):
            drawn = self._step(
                [(row, len(ids) + count, drawn[row]) for row, ids in enumerate(prompts)], [[0]] * len(drawn)
            )
        return time.perf_counter() - started

    def _step(self, entries: list[tuple[int, int, int]], rows: Sequence[Sequence[int]]) -> list[int]:
        """Compute entries of (row, position, token), the rows one after the other, and draw each row's next token."""
        batch = self._batch
        batch.n_tokens = len(entries)
        ends = set(np.cumsum([len(row) for row in rows]) - 1)
        for index, (row, position, token) in enumerate(entries):
            batch.token[index], batch.pos[index] = token, position
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, row
            batch.logits[index] = index in ends
        if self._api.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama.cpp could not compute a batch")
        return [self._best(index) for index in sorted(ends)]

    def _best(self, index: int) -> int:
        logits = self._api.llama_get_logits_ith(self._context, int(index))
        return int(np.ctypeslib.as_array(logits, shape=(self._vocabulary,)).argmax())

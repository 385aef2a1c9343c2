"""Lack of memory makes steps smaller, and ends a generation only if nothing else helps."""

import asyncio
import errno
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from chatbot.engine.attention import Chunk
from chatbot.engine.base import GenerationFailed
from chatbot.engine.forward import Forward
from chatbot.engine.local import LocalEngine
from chatbot.engine.out_of_memory import is_out_of_memory
from chatbot.engine.prefill_budget import SMALLEST_CHUNK
from chatbot.engine.replies import Replies
from chatbot.engine.runner import Runner
from chatbot.engine.worker import Worker
from tests.engine.alone import Alone
from tests.engine.talk import GREEDY, ask, says

LONG = says("a prompt of more tokens than this machine has the memory for " * 3)


@pytest.mark.parametrize(
    ("error", "is_lack"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("not enough memory of the past"), False),
    ],
)
def test_lack_of_memory_is_told_from_other_errors(error: Exception, is_lack: bool) -> None:
    assert is_out_of_memory(error) is is_lack


@pytest.fixture
async def engine(tiny: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(tiny, slots=4, threads=1)
    await engine.start()
    yield engine
    await engine.stop()


def _limit(monkeypatch: pytest.MonkeyPatch, method: str, fits: Callable[[Sequence[Chunk]], bool]) -> list[int]:
    """Let a runner's method run out of memory where chunks do not fit; return the tokens of each call so far."""
    original, calls = getattr(Runner, method), []

    def limited(self: Runner, chunks: Sequence[Chunk], adapters: Any) -> torch.Tensor:
        calls.append(sum(len(chunk.tokens) for chunk in chunks))
        if not fits(chunks):
            raise torch.OutOfMemoryError("CUDA out of memory")
        logits: torch.Tensor = original(self, chunks, adapters)
        return logits

    monkeypatch.setattr(Runner, method, limited)
    return calls


def _gather(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let nothing be computed before so many generations have come, however fast the first ones would be."""
    submit, compute, waiting, all_here = Worker.submit, Forward.compute, [], threading.Event()

    def counted(self: Worker, generation: Any) -> None:
        submit(self, generation)
        waiting.append(generation)
        if len(waiting) == count:
            all_here.set()

    def held(self: Forward, step: Any) -> Any:
        assert all_here.wait(60)
        return compute(self, step)

    monkeypatch.setattr(Worker, "submit", counted)
    monkeypatch.setattr(Forward, "compute", held)


async def test_a_prompt_too_large_for_memory_is_computed_in_smaller_chunks(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = _limit(monkeypatch, "prefill", lambda chunks: sum(len(chunk.tokens) for chunk in chunks) <= 20)
    with caplog.at_level(logging.WARNING):
        reply = await ask(engine, LONG)
    assert reply.text == Alone(tiny).reply(LONG, GREEDY.max_tokens)
    assert calls[0] > 20
    assert calls[-1] <= 20
    assert [record.message for record in caplog.records if "out of memory" in record.message] == [
        f"out of memory with {calls[0]} tokens in a step; going on with smaller steps"
    ]


async def test_a_batch_too_large_for_memory_decodes_one_by_one(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _limit(monkeypatch, "decode", lambda chunks: len(chunks) < 2)
    _gather(monkeypatch, 3)
    texts = ("one", "two", "three")
    with caplog.at_level(logging.WARNING):
        replies = await asyncio.gather(*(ask(engine, says(text), session=text) for text in texts))
    assert [reply.text for reply in replies] == [Alone(tiny).reply(says(text), GREEDY.max_tokens) for text in texts]
    assert len(caplog.records) == 1


async def test_a_row_that_never_fits_fails_alone_after_one_more_try(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _limit(monkeypatch, "prefill", lambda chunks: not any(len(chunk.tokens) > 1 for chunk in chunks))
    with pytest.raises(GenerationFailed, match="CUDA out of memory"):
        await ask(engine, LONG)
    assert calls[-2:] == [SMALLEST_CHUNK, SMALLEST_CHUNK]
    monkeypatch.undo()
    assert (await ask(engine, LONG)).text == Alone(tiny).reply(LONG, GREEDY.max_tokens)


async def test_tokens_are_drawn_row_by_row_where_memory_does_not_suffice_for_all(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, rows_drawn = Replies.draw, []

    def draw(self: Replies, rows: Sequence[Any], logits: torch.Tensor) -> None:
        rows_drawn.append(len(rows))
        if len(rows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        original(self, rows, logits)

    monkeypatch.setattr(Replies, "draw", draw)
    _gather(monkeypatch, 3)
    texts = ("one", "two", "three")
    replies = await asyncio.gather(*(ask(engine, says(text), session=text) for text in texts))
    assert max(rows_drawn) > 1
    for text, reply in zip(texts, replies, strict=True):
        assert reply.text == Alone(tiny).reply(says(text), GREEDY.max_tokens)


async def test_a_row_whose_token_cannot_be_drawn_even_alone_fails_alone(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Replies.draw

    def draw(self: Replies, rows: Sequence[Any], logits: torch.Tensor) -> None:
        if any(row.session == "two" for row, _ in rows):
            raise torch.OutOfMemoryError("CUDA out of memory")
        original(self, rows, logits)

    monkeypatch.setattr(Replies, "draw", draw)
    _gather(monkeypatch, 3)
    texts = ("one", "two", "three")
    replies = [ask(engine, says(text), session=text) for text in texts]
    one, two, three = await asyncio.gather(*replies, return_exceptions=True)
    assert "no token could be drawn: CUDA out of memory" in str(two)
    for text, reply in (("one", one), ("three", three)):
        assert not isinstance(reply, BaseException)
        assert reply.text == Alone(tiny).reply(says(text), GREEDY.max_tokens)


async def test_adapters_that_nobody_uses_now_make_room(
    engine: LocalEngine, pirate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = await engine.load_adapter(pirate)
    await ask(engine, says("hi"), adapter=digest)
    runner = engine._running().runner
    held: list[int] = []

    def fits(_: Sequence[Chunk]) -> bool:
        held.append(len(runner.held))
        return not runner.held

    _limit(monkeypatch, "prefill", fits)
    await ask(engine, LONG, session="other")
    assert held[:2] == [1, 0]

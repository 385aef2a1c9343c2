"""A failure ends the generation that caused it and no other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from chatbot.engine.attention import Chunk
from chatbot.engine.base import GenerationFailed, GenerationRequest, Sampling
from chatbot.engine.local import LocalEngine
from chatbot.engine.replies import Replies
from chatbot.engine.runner import Runner
from chatbot.engine.sampling import RowSampler, sample
from chatbot.engine.slots import SlotTable
from tests.engine.alone import Alone
from tests.engine.talk import GREEDY, ask, says

POISON = 60
"""A prompt token that makes the model fail: `]`."""


@pytest.fixture
async def engine(tiny: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(tiny, slots=4, threads=1)
    await engine.start()
    yield engine
    await engine.stop()


def _spoil(
    monkeypatch: pytest.MonkeyPatch, method: str, spoil: Callable[[Sequence[Chunk], torch.Tensor], None]
) -> None:
    """Let `spoil` see the chunks and change the logits of a runner's method."""
    original = getattr(Runner, method)

    def spoilt(self: Runner, chunks: Sequence[Chunk], adapters: Any) -> torch.Tensor:
        logits: torch.Tensor = original(self, chunks, adapters).clone()
        spoil(chunks, logits)
        return logits

    monkeypatch.setattr(Runner, method, spoilt)


async def _ask_three(engine: LocalEngine) -> list[Any]:
    """Ask three conversations at once, the second one with poison in it."""
    texts = ("one", "two ]", "three")
    return await asyncio.gather(*(ask(engine, says(text), session=text) for text in texts), return_exceptions=True)


def _check(results: list[Any], tiny: Path, complaint: str) -> None:
    first, second, third = results
    assert isinstance(second, GenerationFailed)
    assert complaint in str(second)
    assert first.text == Alone(tiny).reply(says("one"), GREEDY.max_tokens)
    assert third.text == Alone(tiny).reply(says("three"), GREEDY.max_tokens)


async def test_only_the_end_of_a_prompt_gets_logits(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    _spoil(monkeypatch, "prefill", lambda chunks, logits: counts.append(len(logits)))
    engine = LocalEngine(tiny, slots=1, threads=1, prefill_tokens=16)
    await engine.start()
    counts.clear()  # those of the probe
    reply = await ask(engine, says("in parts, " * 5))
    await engine.stop()
    assert counts == [0] * ((reply.usage.prompt_tokens - 1) // 16) + [1]


async def test_a_prompt_that_breaks_the_model_fails_alone(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(chunks: Sequence[Chunk], logits: torch.Tensor) -> None:
        if any(POISON in chunk.tokens for chunk in chunks):
            raise RuntimeError("out of memory")

    _spoil(monkeypatch, "prefill", spoil)
    _check(await _ask_three(engine), tiny, "the model failed: out of memory")


async def test_a_row_that_breaks_the_model_while_it_decodes_fails_alone(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned: set[int] = set()

    def mark(chunks: Sequence[Chunk], logits: torch.Tensor) -> None:
        poisoned.update(chunk.slot for chunk in chunks if POISON in chunk.tokens)

    def spoil(chunks: Sequence[Chunk], logits: torch.Tensor) -> None:
        if any(chunk.slot in poisoned for chunk in chunks):
            raise RuntimeError("device lost")

    _spoil(monkeypatch, "prefill", mark)
    _spoil(monkeypatch, "decode", spoil)
    _check(await _ask_three(engine), tiny, "the model failed: device lost")


async def test_logits_that_are_no_numbers_end_one_reply(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned: set[int] = set()

    def spoil(chunks: Sequence[Chunk], logits: torch.Tensor) -> None:
        poisoned.update(chunk.slot for chunk in chunks if POISON in chunk.tokens)
        for i, chunk in enumerate(chunk for chunk in chunks if chunk.wants_logits):
            if chunk.slot in poisoned:
                logits[i] = float("nan")

    _spoil(monkeypatch, "prefill", spoil)
    _check(await _ask_three(engine), tiny, "not finite")


async def test_a_draw_that_fails_ends_one_reply(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(logits: torch.Tensor, rows: Sequence[RowSampler]) -> list[int]:
        if any(POISON in row.prompt for row in rows):
            raise IndexError("index 300 is out of bounds")
        return sample(logits, rows)

    monkeypatch.setattr("chatbot.engine.replies.sample", draw)
    _check(await _ask_three(engine), tiny, "no token could be drawn: index 300 is out of bounds")


async def test_kv_that_is_no_number_does_not_reach_who_comes_next(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1)
    await engine.start()

    def spoil(chunks: Sequence[Chunk], logits: torch.Tensor) -> None:
        if any(POISON in chunk.tokens for chunk in chunks):
            engine._running().runner.kv.values[:, :, :, 1 : chunks[0].end] = float("nan")
            logits[:] = float("nan")

    await ask(engine, says("a longer one"), session="zero")
    kv = engine._running().runner.kv
    last = len(engine._running().worker._slots.slots[0].tokens) - 1
    kv.values[0, 0, 0, last, 0] = float("nan")  # which an earlier row may have left
    kv.values[0, 0, 0, -1, 0] = 1.0
    with monkeypatch.context() as spoilt:
        _spoil(spoilt, "prefill", spoil)
        with pytest.raises(GenerationFailed, match="not finite"):
            await ask(engine, says("]"), session="one")
    assert kv.values[0, 0, 0, -1, 0] == 1.0, "memory that was never used was touched"
    kv.values[0, 0, 0, -1, 0] = 0.0
    assert kv.keys.isfinite().all()
    assert kv.values.isfinite().all()
    assert (await ask(engine, says("hi"), session="two")).text == Alone(tiny).reply(says("hi"), GREEDY.max_tokens)
    await engine.stop()


async def test_kv_of_a_prompt_that_nobody_waited_for_does_not_reach_who_comes_next_either(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, prefill_tokens=16)
    await engine.start()
    kv, loop = engine._running().runner.kv, asyncio.get_running_loop()
    asked = asyncio.create_task(ask(engine, says("]" + "in parts, " * 20), session="one"))

    def spoil(chunks: Sequence[Chunk], logits: torch.Tensor) -> None:
        if any(POISON in chunk.tokens for chunk in chunks):
            kv.values[:, :, :, 1 : chunks[0].end] = float("nan")
            loop.call_soon_threadsafe(asked.cancel)

    with monkeypatch.context() as spoilt:
        _spoil(spoilt, "prefill", spoil)
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (await ask(engine, says("hi"), session="two")).text == Alone(tiny).reply(says("hi"), GREEDY.max_tokens)
    assert kv.values.isfinite().all()
    await engine.stop()


async def test_an_error_in_a_step_leaves_those_who_wait_alone(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1)
    await engine.start()
    broken = iter([True])
    original = Replies.draw

    def draw(self: Replies, rows: Any, logits: torch.Tensor) -> None:
        if next(broken, False):
            raise RuntimeError("device lost")
        original(self, rows, logits)

    monkeypatch.setattr(Replies, "draw", draw)
    first, second = await asyncio.gather(
        *(ask(engine, says(text), session=text) for text in ("one", "two")), return_exceptions=True
    )
    await engine.stop()
    assert isinstance(first, GenerationFailed)
    assert not isinstance(second, BaseException)
    assert second.text == Alone(tiny).reply(says("two"), GREEDY.max_tokens)


async def test_the_engine_goes_on_after_an_error_nobody_expected(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("chatbot.engine.replies.sample", lambda *_: 1 / 0)
        with pytest.raises(GenerationFailed, match="division by zero"):
            await ask(engine, says("hello"))
    reply = await ask(engine, says("hello"))
    assert reply.usage.cached_tokens == 0
    assert reply.text == Alone(tiny).reply(says("hello"), GREEDY.max_tokens)


async def test_kv_is_copied_ahead_when_it_is_quiet_and_who_comes_then_is_answered(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_quiet = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(SlotTable, "keep_ahead", lambda _: loop.call_soon_threadsafe(is_quiet.set))
    for text in ("one", "two"):
        is_quiet.clear()
        assert (await ask(engine, says(text))).text
        await asyncio.wait_for(is_quiet.wait(), 30)


async def test_unused_adapters_leave_the_model_though_it_never_idles(engine: LocalEngine, pirate: Path) -> None:
    digest = await engine.load_adapter(pirate)
    endless = engine.generate(GenerationRequest("endless", says("go on"), Sampling(temperature=0, max_tokens=200)))
    await anext(endless)
    await ask(engine, says("hi"), adapter=digest)
    runner = engine._running().runner
    assert runner.held == {digest}
    await engine.unload_adapter(digest)
    await ask(engine, says("hi"))
    assert not runner.held
    await endless.aclose()


async def test_unused_adapters_leave_the_model_when_it_idles(engine: LocalEngine, pirate: Path) -> None:
    digest = await engine.load_adapter(pirate)
    await ask(engine, says("hi"), adapter=digest)
    runner = engine._running().runner
    assert runner.held == {digest}
    await engine.unload_adapter(digest)
    await ask(engine, says("hi"))
    for _ in range(1000):
        if not runner.held:
            break
        await asyncio.sleep(0.001)
    assert not runner.held

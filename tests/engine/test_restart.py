"""An engine whose thread is stuck or dead says so, fails what runs, and answers again with a new thread."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from chatbot.engine.attention import Chunk
from chatbot.engine.base import Delta, Finish, GenerationFailed, GenerationRequest, Sampling
from chatbot.engine.local import LocalEngine
from chatbot.engine.runner import Runner
from chatbot.engine.scheduler import Scheduler
from chatbot.engine.worker import Worker
from tests.engine.alone import Alone
from tests.engine.talk import GREEDY, ask, says
from tests.engine.test_watchdog import FakeClock
from tests.tiny import make_tiny_model

STUCK = GenerationRequest("stuck", says("tell me"), Sampling(temperature=0, max_tokens=200))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def engine(tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalEngine]:
    """An engine whose watchdog looks only when it is told to."""
    monkeypatch.setattr("chatbot.engine.watchdog.CHECK_EVERY_S", 3600)
    engine = LocalEngine(tiny, slots=4, threads=1, stuck_after_s=60, clock=clock, ignore_end=True)
    await engine.start()
    yield engine
    await engine.stop()


class Block:
    """Holds the thread that comes next into a runner's decode, just before the forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._is_armed = False
        self._entered, self._released = threading.Event(), threading.Event()
        self.held: threading.Thread | None = None
        original = Runner.decode

        def decode(runner: Runner, chunks: Sequence[Chunk], adapters: Any) -> torch.Tensor:
            self._maybe_hold()
            return original(runner, chunks, adapters)

        monkeypatch.setattr(Runner, "decode", decode)

    def _maybe_hold(self) -> None:
        if self._is_armed:
            self._is_armed, self.held = False, threading.current_thread()
            self._entered.set()
            self._released.wait()

    async def hold(self) -> None:
        """Wait until a thread is held."""
        self._is_armed = True
        await asyncio.to_thread(self._entered.wait)

    async def release(self) -> None:
        """Let the thread go and wait for its end."""
        self._released.set()
        assert self.held is not None
        await asyncio.to_thread(self.held.join)


async def _get_stuck(engine: LocalEngine, block: Block) -> "asyncio.Task[tuple[str, Exception | None]]":
    """Start a generation whose thread gets stuck after some text; its task returns the text and the error."""
    has_text = asyncio.Event()

    async def listen() -> tuple[str, Exception | None]:
        text = ""
        try:
            async for event in engine.generate(STUCK):
                assert not isinstance(event, Finish)
                text += event.text
                has_text.set()
        except GenerationFailed as error:
            return text, error
        return text, None

    task = asyncio.create_task(listen())
    await has_text.wait()
    await block.hold()
    return task


async def _check(engine: LocalEngine) -> None:
    await engine._running().watchdog.check()


async def test_a_stuck_thread_is_told_and_replaced_and_its_return_changes_nothing(
    engine: LocalEngine, pirate: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = await engine.load_adapter(pirate)
    before = {adapter: await ask(engine, says("hello"), adapter=adapter) for adapter in (None, digest)}
    block = Block(monkeypatch)
    stuck = await _get_stuck(engine, block)
    assert engine.health().is_ready
    clock.now += 61
    assert "running for 61 s" in engine.health().reason
    await _check(engine)
    text, error = await stuck
    assert text
    assert "running for 61 s" in str(error)
    assert engine.health().is_ready

    running = engine.generate(GenerationRequest("across", says("hello"), GREEDY, digest))
    heard = [await anext(running)]
    await block.release()
    heard += [event async for event in running]
    assert "".join(event.text for event in heard if isinstance(event, Delta)) == before[digest].text
    for adapter in (None, digest):
        assert (await ask(engine, says("hello"), session="again", adapter=adapter)).text == before[adapter].text


async def test_a_thread_that_died_is_replaced_and_what_it_ran_fails(
    engine: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = engine._running().worker
    with monkeypatch.context() as broken:
        broken.setattr(Scheduler, "plan", lambda *_: 1 / 0)
        asked = asyncio.create_task(ask(engine, says("hello")))
        await asyncio.to_thread(died._thread.join)
    assert engine.health().reason == "the engine's thread has ended"
    with pytest.raises(GenerationFailed, match="division by zero"):
        await ask(engine, says("too early"))
    await _check(engine)
    with pytest.raises(GenerationFailed, match="thread has ended"):
        await asked
    assert (await ask(engine, says("hello"))).text == Alone(tiny).reply(says("hello"), GREEDY.max_tokens)


async def test_stopping_does_not_wait_for_ever_for_a_stuck_thread(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.engine.worker.STOP_WITHIN_S", 0.01)
    engine = LocalEngine(tiny, slots=1, threads=1, ignore_end=True)
    await engine.start()
    block = Block(monkeypatch)
    stuck = await _get_stuck(engine, block)
    await engine.stop()
    assert str((await stuck)[1]) == "the engine was stopped"
    await block.release()


async def test_before_start_and_after_stop_an_engine_is_not_ready(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1)
    assert engine.health().reason == "the engine is not running"
    await engine.start()
    assert engine.health().is_ready
    await engine.stop()
    assert not engine.health().is_ready


@pytest.mark.parametrize("fuses", [True, False])
def test_a_renewed_runner_shares_the_weights_and_nothing_that_a_forward_writes(
    tmp_path: Path, pirate: Path, *, fuses: bool
) -> None:
    folder = make_tiny_model(tmp_path, dtype=torch.bfloat16)
    runner = Runner(folder, slots=2, context_tokens=64, device=torch.device("cpu"), dtype=torch.float32, fuses=fuses)
    prompt = [Chunk(0, 0, [5, 6, 7])]
    expected = runner.prefill(prompt, None)
    first = runner.kv.keys.clone()
    renewed = runner.renewed(keeps_kv=False)
    assert not renewed.kv.keys.any()
    assert torch.equal(renewed.prefill(prompt, None), expected)
    renewed.prefill([Chunk(0, 0, [9, 9, 9])], None)
    assert torch.equal(runner.kv.keys, first)
    kept = runner.renewed(keeps_kv=True)
    assert kept.kv is runner.kv


async def test_a_thread_that_is_stuck_with_the_schedule_in_its_hands_holds_nobody_up(
    engine: LocalEngine, tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, released, is_full = threading.Event(), threading.Event(), threading.Event()
    threads = min(32, (os.cpu_count() or 1) + 4)
    plan, submit, submitting = Scheduler.plan, Worker.submit, count(1)

    def stuck_plan(scheduler: Any, copy_prefix: Any) -> Any:
        entered.set()
        released.wait()
        return plan(scheduler, copy_prefix)

    def counted(worker: Worker, generation: Any) -> None:
        if next(submitting) == threads:
            is_full.set()
        submit(worker, generation)

    stuck = engine._running().worker
    with monkeypatch.context() as held:
        held.setattr(Scheduler, "plan", stuck_plan)
        first = asyncio.create_task(ask(engine, says("hello"), session="first"))
        await asyncio.to_thread(entered.wait)
    monkeypatch.setattr(Worker, "submit", counted)
    later = [asyncio.create_task(ask(engine, says("hello"), session=f"later {i}")) for i in range(threads)]
    while not is_full.is_set():
        await asyncio.sleep(0)
    clock.now += 1000
    await _check(engine)
    for error in await asyncio.gather(first, *later, return_exceptions=True):
        assert "running for 1000 s" in str(error)
    assert (await ask(engine, says("hello"))).text == Alone(tiny).reply(says("hello"), GREEDY.max_tokens)
    released.set()
    await asyncio.to_thread(stuck._thread.join)


async def test_stopping_does_not_wait_for_ever_for_the_schedule(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.engine.worker.STOP_WITHIN_S", 0.01)
    engine = LocalEngine(tiny, slots=1, threads=1)
    await engine.start()
    worker = engine._running().worker
    entered, released = threading.Event(), threading.Event()

    def plan(*_: Any) -> Any:
        entered.set()
        released.wait()
        raise RuntimeError("late")

    monkeypatch.setattr(Scheduler, "plan", plan)
    asked = asyncio.create_task(ask(engine, says("hello")))
    await asyncio.to_thread(entered.wait)
    await engine.stop()
    with pytest.raises(GenerationFailed, match="the engine was stopped"):
        await asked
    released.set()
    await asyncio.to_thread(worker._thread.join)

"""A stuck or dead worker is noticed, told and replaced, but not for ever."""

import asyncio
from dataclasses import dataclass, field

import pytest

from chatbot.engine.heartbeat import Heartbeat
from chatbot.engine.watchdog import FIRST_STEP_FACTOR, MOST_RESTARTS, RESTART_WINDOW_S, Watchdog


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeWorker:
    heartbeat: Heartbeat
    is_alive: bool = True
    device_fault: str = ""


@dataclass
class World:
    clock: FakeClock = field(default_factory=FakeClock)
    replaced: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    fails: bool = False

    def worker(self, *, steps: int = 1) -> FakeWorker:
        worker = FakeWorker(Heartbeat(self.clock))
        worker.heartbeat.steps = steps
        return worker

    async def replace(self, why: str) -> FakeWorker:
        self.replaced.append(why)
        if self.fails:
            raise RuntimeError("no memory for another")
        return self.worker()

    def watchdog(self, worker: FakeWorker) -> Watchdog:
        return Watchdog(worker, self.replace, self.given_up.append, stuck_after_s=60, clock=self.clock)


async def test_a_worker_that_waits_for_work_is_well_however_long() -> None:
    world = World()
    worker = world.worker()
    worker.heartbeat.begin()
    worker.heartbeat.rest()
    world.clock.now += 10_000
    watchdog = world.watchdog(worker)
    await watchdog.check()
    assert watchdog.health().is_ready
    assert not world.replaced


async def test_a_step_that_takes_too_long_is_told_at_once_and_its_worker_replaced() -> None:
    world = World()
    worker = world.worker()
    watchdog = world.watchdog(worker)
    worker.heartbeat.begin()
    world.clock.now += 59
    assert watchdog.health().is_ready
    world.clock.now += 2
    assert not watchdog.health().is_ready
    assert watchdog.health().reason == "a step of the engine has been running for 61 s, over the limit of 60 s"
    await watchdog.check()
    assert world.replaced == ["a step of the engine has been running for 61 s, over the limit of 60 s"]
    assert watchdog.health().is_ready


async def test_the_first_step_may_take_longer() -> None:
    world = World()
    worker = world.worker(steps=0)
    watchdog = world.watchdog(worker)
    worker.heartbeat.begin()
    world.clock.now += 60 * FIRST_STEP_FACTOR
    assert watchdog.health().is_ready
    world.clock.now += 1
    assert not watchdog.health().is_ready


async def test_a_dead_worker_is_replaced() -> None:
    world = World()
    watchdog = world.watchdog(FakeWorker(Heartbeat(world.clock), is_alive=False))
    assert watchdog.health().reason == "the engine's thread has ended"
    await watchdog.check()
    assert watchdog.health().is_ready


async def test_while_a_worker_is_being_replaced_the_engine_is_not_ready() -> None:
    world = World()
    seen: list[str] = []

    async def replace(why: str) -> FakeWorker:
        seen.append(watchdog.health().reason)
        return world.worker()

    dead = FakeWorker(Heartbeat(world.clock), is_alive=False)
    watchdog = Watchdog(dead, replace, world.given_up.append, stuck_after_s=60, clock=world.clock)
    await watchdog.check()
    assert seen == ["the engine is being restarted: the engine's thread has ended"]


async def test_too_many_restarts_in_a_short_time_end_in_giving_up() -> None:
    world = World()
    world.fails = True
    watchdog = world.watchdog(FakeWorker(Heartbeat(world.clock), is_alive=False))
    for _ in range(MOST_RESTARTS + 3):
        await watchdog.check()
        assert not watchdog.health().is_ready
    assert len(world.replaced) == MOST_RESTARTS
    assert watchdog.health().reason.endswith("restart the server")
    assert world.given_up == [watchdog.health().reason]


async def test_on_a_broken_device_nothing_is_tried_again() -> None:
    world = World()
    fault = "the device failed for good: CUDA error: unspecified launch failure; restart the server"
    watchdog = world.watchdog(FakeWorker(Heartbeat(world.clock), is_alive=False, device_fault=fault))
    assert watchdog.health().reason == fault
    for _ in range(2):
        await watchdog.check()
    assert not world.replaced
    assert world.given_up == [fault]
    assert watchdog.health().reason == fault


async def test_restarts_long_ago_do_not_count() -> None:
    world = World()
    world.fails = True
    watchdog = world.watchdog(FakeWorker(Heartbeat(world.clock), is_alive=False))
    for _ in range(MOST_RESTARTS):
        await watchdog.check()
    world.clock.now += RESTART_WINDOW_S + 1
    world.fails = False
    await watchdog.check()
    assert watchdog.health().is_ready


async def test_watching_checks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.engine.watchdog.CHECK_EVERY_S", 0)
    world = World()
    was_replaced = asyncio.Event()

    async def replace(why: str) -> FakeWorker:
        was_replaced.set()
        return world.worker()

    dead = FakeWorker(Heartbeat(world.clock), is_alive=False)
    watching = asyncio.create_task(
        Watchdog(dead, replace, world.given_up.append, stuck_after_s=60, clock=world.clock).watch()
    )
    await was_replaced.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching

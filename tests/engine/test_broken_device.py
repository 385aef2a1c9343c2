"""A device that computes nothing more in this process ends the engine, which says so and asks for another process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import torch

from chatbot.engine.base import GenerationFailed
from chatbot.engine.broken_device import is_device_broken, told_briefly
from chatbot.engine.local import LocalEngine
from chatbot.engine.replies import Replies
from chatbot.engine.runner import Runner
from tests.engine.talk import ask, says

BROKEN = "CUDA error: device-side assert triggered\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
TOLD = "the device failed for good: CUDA error: device-side assert triggered; restart the server"


@pytest.mark.parametrize(
    ("error", "is_broken"),
    [
        (torch.AcceleratorError(BROKEN), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA driver error: unspecified launch failure"), True),
        (torch.AcceleratorError("CUDA error: invalid configuration argument"), False),
        (torch.AcceleratorError("CUDA error: operation not permitted when stream is capturing"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (ValueError("misaligned address"), False),
    ],
)
def test_an_error_that_every_call_repeats_is_told_from_others(error: Exception, is_broken: bool) -> None:
    assert is_device_broken(error) is is_broken


def test_the_hints_for_debugging_are_left_out() -> None:
    assert told_briefly(RuntimeError(BROKEN)) == "CUDA error: device-side assert triggered"


@pytest.fixture
async def engine(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalEngine]:
    """An engine whose watchdog looks only when it is told to."""
    monkeypatch.setattr("chatbot.engine.watchdog.CHECK_EVERY_S", 3600)
    engine = LocalEngine(tiny, slots=1, threads=1, ignore_end=True)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.mark.parametrize(("owner", "method"), [(Runner, "prefill"), (Runner, "decode"), (Replies, "draw")])
async def test_a_broken_device_fails_all_who_wait_and_is_not_tried_again(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    calls: list[object] = []

    def broken(*_: Any) -> None:
        calls.append(method)
        raise torch.AcceleratorError(BROKEN)

    monkeypatch.setattr(owner, method, broken)
    worker = engine._running().worker
    asked = [asyncio.create_task(ask(engine, says("hello"), session=name)) for name in ("runs", "waits")]
    await asyncio.to_thread(worker._thread.join)
    assert (engine.health().is_ready, engine.health().reason) == (False, TOLD)
    await engine._running().watchdog.check()
    assert [str(error) for error in await asyncio.gather(*asked, return_exceptions=True)] == [TOLD, TOLD]
    with pytest.raises(GenerationFailed, match=TOLD):
        await ask(engine, says("again"))
    assert calls == [method]
    assert engine._running().worker is worker
    assert engine.health().reason == TOLD

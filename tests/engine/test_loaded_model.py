"""What is not needed any more leaves memory at once: weights and KV are too large to wait for garbage collection."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatbot.engine.base import ChatMessage, GenerationFailed, ModelNotFound
from chatbot.engine.local import LocalEngine
from tests.engine.talk import ask, says
from tests.tiny import CHAT_TEMPLATE, make_tiny_model, make_tiny_tokenizer


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def are_gone(*left: "weakref.ref[Any]") -> bool:
    """Tell whether all left memory, given the thread that called into them last a moment to let go of its call."""
    for _ in range(1000):
        if all(part() is None for part in left):
            return True
        await asyncio.sleep(0.001)
    return False


@pytest.mark.usefixtures("_no_collection")
async def test_a_model_leaves_memory_when_its_engine_stops(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=2, threads=1)
    await engine.start()
    await ask(engine, says("hello"))
    runner = engine._running().runner
    parts: list[Any] = [engine._running(), engine._running().worker, runner, runner.kv]
    left = [weakref.ref(part) for part in parts]
    del runner, parts
    await engine.stop()
    assert await are_gone(*left)


@pytest.mark.usefixtures("_no_collection")
async def test_a_worker_leaves_memory_when_it_is_replaced_and_its_thread_ended(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=2, threads=1)
    await engine.start()
    await ask(engine, says("hello"))
    worker = engine._running().worker
    replaced, runner = weakref.ref(worker), weakref.ref(engine._running().runner)
    worker.retire("for a test")
    await asyncio.to_thread(worker._thread.join)
    del worker
    await engine._running().watchdog.check()
    assert await are_gone(replaced, runner)
    assert (await ask(engine, says("hello"))).text
    await engine.stop()


async def test_tokens_that_the_weights_lack_are_told_at_load_or_when_they_are_asked_for(tmp_path: Path) -> None:
    folder = make_tiny_model(
        tmp_path, template="{% if messages[0].role == 'system' %}<more>{% endif %}" + CHAT_TEMPLATE
    )
    tokenizer = make_tiny_tokenizer()
    tokenizer.add_tokens(["<more>"])
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    engine = LocalEngine(folder, slots=2, threads=1, compiled=False)
    await engine.start()
    assert (await ask(engine, says("hello"))).text
    with pytest.raises(GenerationFailed, match="token 273 is none of the model's 273"):
        await ask(engine, (ChatMessage("system", "Be kind."), *says("hello")))
    await engine.stop()
    (folder / "chat_template.jinja").write_text("<more>" + CHAT_TEMPLATE)
    with pytest.raises(ModelNotFound, match="token 273 is none of the model's 273"):
        await LocalEngine(folder, slots=2, threads=1, compiled=False).start()

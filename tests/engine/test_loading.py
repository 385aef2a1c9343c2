"""What is asked for while a model is being loaded waits for it, or is told why it cannot be."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chatbot.engine.base import (
    ChatMessage,
    Delta,
    Engine,
    EngineBusy,
    GenerationRequest,
    ModelNotFound,
    ModelNotLoaded,
    Sampling,
)
from chatbot.engine.kv_owner import owner_of
from tests.fake_engine import FakeEngine
from tests.slow_loading import SlowLoading

REQUEST = GenerationRequest("chat", (ChatMessage("user", "hello"),), Sampling())


@asynccontextmanager
async def loading(
    fault: Exception | None = None, kv_dir: Path | None = None
) -> AsyncIterator[tuple[SlowLoading, FakeEngine]]:
    """Begin to load an engine, which is loaded at the end at the latest."""
    behind = FakeEngine()
    engine = SlowLoading(behind, fault, kv_dir)
    await engine.start()
    try:
        yield engine, behind
    finally:
        engine.may_load.set()
        await engine.stop()


async def reply(engine: Engine) -> str:
    return "".join([event.text async for event in engine.generate(REQUEST) if isinstance(event, Delta)])


async def test_a_reply_that_is_asked_for_too_early_comes_once_the_model_is_loaded() -> None:
    async with loading() as (engine, behind):
        asked = asyncio.create_task(reply(engine))
        await engine.forget("gone")
        await asyncio.sleep(0)
        assert (engine.health().status, engine.base) == ("loading", behind.base)
        await engine.loads()
        assert await asked == "you said: hello"
        assert (engine.health().is_ready, behind.forgotten) == (True, ["gone"])
        assert await engine.load_adapter(Path("pirate")) == "digest-of-pirate"
        await engine.unload_adapter("digest-of-pirate")
        assert behind.unloaded == ["digest-of-pirate"]


async def test_nobody_can_count_tokens_before_the_model_is_loaded() -> None:
    async with loading() as (engine, behind):
        with pytest.raises(ModelNotLoaded, match="the model is being loaded"):
            engine.count_tokens(REQUEST.messages)
        await engine.loads()
        assert engine.count_tokens(REQUEST.messages) == behind.count_tokens(REQUEST.messages)


async def test_no_more_may_wait_for_the_model_than_for_a_place_later() -> None:
    async with loading() as (engine, _):
        with engine.place("a"), engine.place("a"), engine.place("a"), pytest.raises(EngineBusy):
            await reply_for_nobody(engine)


async def reply_for_nobody(engine: Engine) -> None:
    with engine.place("a"):
        raise AssertionError("there was a place left")


async def test_whoever_waits_for_a_model_that_cannot_be_loaded_is_told_why() -> None:
    async with loading(ModelNotFound("the weights are broken")) as (engine, _):
        asked = asyncio.create_task(reply(engine))
        await engine.loads()
        with pytest.raises(ModelNotFound, match="the weights are broken"):
            await asked
        assert (engine.health().status, engine.health().reason) == ("engine_failed", "the weights are broken")


async def test_what_a_conversation_left_in_files_is_forgotten_before_the_model_is_loaded(tmp_path: Path) -> None:
    written = [tmp_path / f"{owner_of(session)}-{16 * 'a'}.safetensors" for session in ("gone", "kept")]
    for path in written:
        path.touch()
    async with loading(kv_dir=tmp_path) as (engine, _):
        await engine.forget("gone")
        assert [path.exists() for path in written] == [False, True]


async def test_any_other_fault_of_loading_ends_no_more_than_the_engine() -> None:
    async with loading(ImportError("no such library")) as (engine, _):
        await engine.loads()
        with pytest.raises(ModelNotLoaded, match="could not be loaded: ImportError"):
            await engine.wait_loaded()


async def test_stopping_waits_for_a_model_that_is_being_loaded_and_frees_it() -> None:
    async with loading() as (engine, behind):
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0)
        engine.may_load.set()
        await stopping
        assert behind.is_stopped


async def test_stopping_says_nothing_of_a_model_that_nobody_waits_for_any_more() -> None:
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
    async with loading(ModelNotFound("the weights are broken")):
        pass
    gc.collect()
    assert said == []

"""A reply after KV was restored, from memory or a file, is the reply of an engine that never let it go."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chatbot.engine.base import ChatMessage, GenerationFailed, GenerationRequest, Sampling
from chatbot.engine.formats import MatmulPrecision
from chatbot.engine.generation import Generation
from chatbot.engine.kv_entry import KVEntry
from chatbot.engine.loaded_model import LoadedModel
from chatbot.engine.local import LocalEngine
from tests.engine.alone import Alone
from tests.engine.talk import GREEDY, Reply, ask, says
from tests.tiny import make_tiny_adapter, make_tiny_model

SYSTEM = ChatMessage("system", "You are Ada, and you like owls and long walks by the sea.")
CHAT = (SYSTEM, *says("what do you like?"))
OTHER = says("tell me something about trains and the people in them, please")


@asynccontextmanager
async def _engine(
    base: Path, kv_dir: Path | None = None, *, kv_host_mib: int = 64, slots: int = 1
) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(base, slots=slots, threads=1, kv_dir=kv_dir, kv_host_mib=kv_host_mib)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def _next_turn(chat: tuple[ChatMessage, ...], reply: Reply) -> tuple[ChatMessage, ...]:
    return (*chat, ChatMessage("assistant", reply.text), ChatMessage("user", "and then?"))


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _check(reply: Reply, reference: Alone, chat: tuple[ChatMessage, ...], *, at_least: int) -> None:
    assert reply.text == reference.reply(chat, GREEDY.max_tokens)
    assert reply.usage.cached_tokens >= at_least


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
@pytest.mark.parametrize("kv_host_mib", [64, 0])
async def test_the_reply_is_the_same_after_memory_file_and_restart(
    tmp_path: Path, architecture: str, kv_host_mib: int
) -> None:
    base = make_tiny_model(tmp_path / "base", architecture=architecture)
    alone, kv_dir = Alone(base), tmp_path / "kv"
    async with _engine(base, kv_dir, kv_host_mib=kv_host_mib) as engine:
        first = await ask(engine, CHAT, session="a")
        await ask(engine, OTHER, session="b")
        chat = _next_turn(CHAT, first)
        second = await ask(engine, chat, session="a")
        _check(second, alone, chat, at_least=first.usage.prompt_tokens)
    chat = _next_turn(chat, second)
    async with _engine(base, kv_dir, kv_host_mib=kv_host_mib) as engine:
        third = await ask(engine, chat, session="a")
        _check(third, alone, chat, at_least=second.usage.prompt_tokens)


async def test_two_adapters_on_one_prefix_never_share_kv(tiny: Path, pirate: Path, poet: Path, tmp_path: Path) -> None:
    references = [Alone(tiny), Alone(tiny, pirate), Alone(tiny, poet)]
    for round_ in range(2):  # the second time all comes from files
        async with _engine(tiny, tmp_path / "kv", kv_host_mib=0) as engine:
            digests = [None, await engine.load_adapter(pirate), await engine.load_adapter(poet)]
            for reference, digest in zip(references, digests, strict=True):
                for session in ("a", str(digest)):
                    reply = await ask(engine, CHAT, session=session, adapter=digest)
                    _check(reply, reference, CHAT, at_least=round_ * 20)


async def test_an_adapter_that_is_replaced_under_its_name_never_sees_old_kv(tiny: Path, tmp_path: Path) -> None:
    folder = make_tiny_adapter(tiny, tmp_path / "persona", seed=11)
    async with _engine(tiny, tmp_path / "kv") as engine:
        await ask(engine, CHAT, session="a", adapter=await engine.load_adapter(folder))
    shutil.rmtree(folder)
    make_tiny_adapter(tiny, folder, seed=12)
    async with _engine(tiny, tmp_path / "kv") as engine:
        reply = await ask(engine, CHAT, session="a", adapter=await engine.load_adapter(folder))
        assert reply.usage.cached_tokens == 0
        assert reply.text == Alone(tiny, folder).reply(CHAT, GREEDY.max_tokens)


async def test_an_edited_history_is_answered_from_what_is_before_the_edit(tiny: Path, tmp_path: Path) -> None:
    async with _engine(tiny, tmp_path / "kv") as engine:
        first = await ask(engine, (*CHAT, *says("no", "yes")[::-1]), session="a")
    edited = (*CHAT, ChatMessage("assistant", "hills"), ChatMessage("user", "no"))
    async with _engine(tiny, tmp_path / "kv") as engine:
        reply = await ask(engine, edited, session="a")
    _check(reply, Alone(tiny), edited, at_least=40)
    assert reply.usage.cached_tokens < first.usage.prompt_tokens


async def test_another_base_model_never_sees_the_kv(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_tiny_model(tmp_path / "other", seed=5)
    async with _engine(tiny, tmp_path / "kv") as engine:
        await ask(engine, CHAT, session="a")
    async with _engine(other, tmp_path / "kv") as engine:
        reply = await ask(engine, CHAT, session="a")
    assert "left 1 files of another model" in caplog.text
    assert reply.usage.cached_tokens == 0
    assert reply.text == Alone(other).reply(CHAT, GREEDY.max_tokens)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("spoil", [_flip, _cut])
async def test_a_broken_file_costs_a_warning_and_no_reply(
    tiny: Path, tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    kv_dir = tmp_path / "kv"
    async with _engine(tiny, kv_dir) as engine:
        await ask(engine, CHAT, session="a")
    (path,) = _files(kv_dir)
    spoil(path)
    async with _engine(tiny, kv_dir) as engine:
        reply = await ask(engine, CHAT, session="a")
        assert _files(kv_dir) == []
    assert reply.usage.cached_tokens == 0
    assert reply.text == Alone(tiny).reply(CHAT, GREEDY.max_tokens)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


async def test_a_smaller_context_takes_what_fits_of_a_longer_file(tiny: Path, tmp_path: Path) -> None:
    long = (*CHAT, *says("x" * 100, "y" * 100, "z")[1:])
    async with _engine(tiny, tmp_path / "kv") as engine:
        assert (await ask(engine, long, session="a")).usage.prompt_tokens > 100
    engine = LocalEngine(tiny, slots=1, threads=1, context_tokens=100, kv_dir=tmp_path / "kv")
    await engine.start()
    reply = await ask(engine, CHAT, session="a", sampling=Sampling(temperature=0, max_tokens=8))
    await engine.stop()
    assert reply.usage.cached_tokens > 40
    assert reply.text == Alone(tiny).reply(CHAT, 8)


async def test_a_forgotten_conversation_leaves_nothing_in_memory_or_on_disk(tiny: Path, tmp_path: Path) -> None:
    kv_dir = tmp_path / "kv"
    async with _engine(tiny, kv_dir) as engine:
        await ask(engine, CHAT, session="a")
    async with _engine(tiny, kv_dir) as engine:
        await ask(engine, CHAT, session="a")
        await engine.forget("a")
        assert _files(kv_dir) == []
        assert (await ask(engine, CHAT, session="b")).usage.cached_tokens == 0
        await engine.forget("b")
    assert _files(kv_dir) == []


async def test_a_prompt_that_is_rendered_while_its_conversation_is_forgotten_leaves_nothing_either(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, kv_dir=tmp_path / "kv")
    await engine.start()
    may_go_on, render = asyncio.Event(), LoadedModel.render

    async def late(self: LoadedModel, messages: Any, adapter: str | None) -> Any:
        rendered = await render(self, messages, adapter)
        await may_go_on.wait()
        return rendered

    monkeypatch.setattr(LoadedModel, "render", late)
    asked = asyncio.create_task(ask(engine, CHAT, session="a"))
    await asyncio.sleep(0)
    await engine.forget("a")
    may_go_on.set()
    assert (await asked).usage.completion_tokens == GREEDY.max_tokens
    await engine.stop()
    assert _files(tmp_path / "kv") == []


async def test_kv_of_rounded_products_is_not_gone_on_from_where_replies_must_be_exact(
    tiny: Path, tmp_path: Path
) -> None:
    runs: tuple[tuple[MatmulPrecision, bool], ...] = (
        ("medium", False),
        ("medium", True),
        ("highest", False),
        ("highest", True),
    )
    for precision, cached in runs:
        engine = LocalEngine(tiny, slots=1, threads=1, kv_dir=tmp_path / "kv", matmul_precision=precision)
        await engine.start()
        assert ((await ask(engine, CHAT, session="a")).usage.cached_tokens > 0) is cached
        await engine.stop()


async def test_a_reply_that_runs_while_its_conversation_is_forgotten_leaves_nothing_either(
    tiny: Path, tmp_path: Path
) -> None:
    endless = Sampling(temperature=0, max_tokens=400)
    engine = LocalEngine(tiny, slots=1, threads=1, kv_dir=tmp_path / "kv", ignore_end=True)
    await engine.start()
    running = engine.generate(GenerationRequest("a", CHAT, endless))
    await anext(running)
    waiting = asyncio.create_task(ask(engine, CHAT, session="a"))
    while len(engine._queues) < 2:
        await asyncio.sleep(0)
    await engine.forget("a")
    await running.aclose()
    assert (await waiting).usage.completion_tokens == GREEDY.max_tokens
    await engine.stop()
    assert _files(tmp_path / "kv") == []


async def test_what_was_read_for_a_prompt_that_is_never_computed_leaves_memory(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _engine(tiny, tmp_path / "kv") as engine:
        await ask(engine, CHAT)
    async with _engine(tiny, tmp_path / "kv") as engine:
        tiers = engine._running().tiers
        held: list[KVEntry] = []

        def submit(_: Generation) -> None:
            held.extend(tiers._ahead)
            raise GenerationFailed("not now")

        monkeypatch.setattr(engine._running().worker, "submit", submit)
        with pytest.raises(GenerationFailed, match="not now"):
            await ask(engine, CHAT)
        assert len(held) == 1
        assert list(tiers._ahead) == []


async def test_a_reply_that_is_cut_off_by_the_stop_leaves_its_kv(tiny: Path, tmp_path: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, kv_dir=tmp_path / "kv", ignore_end=True)
    await engine.start()
    running = engine.generate(GenerationRequest("a", CHAT, Sampling(temperature=0, max_tokens=400)))
    await anext(running)
    await engine.stop()
    await running.aclose()
    async with _engine(tiny, tmp_path / "kv") as again:
        reply = await ask(again, CHAT, session="a")
    _check(reply, Alone(tiny), CHAT, at_least=reply.usage.prompt_tokens - 1)


async def test_an_engine_without_a_folder_writes_nothing(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with _engine(tiny) as engine:
        await ask(engine, CHAT, session="a")
        await ask(engine, OTHER, session="b")
        _check(await ask(engine, CHAT, session="a"), Alone(tiny), CHAT, at_least=40)
    assert _files(tmp_path) == []


async def test_a_stateless_chat_goes_on_from_any_slot_and_is_kept_nowhere_else(tiny: Path, tmp_path: Path) -> None:
    alone = Alone(tiny)
    async with _engine(tiny, tmp_path, slots=2) as engine:
        first = await ask(engine, CHAT, session="first", is_stateless=True)
        chat = _next_turn(CHAT, first)
        second = await ask(engine, chat, session="second", is_stateless=True)
        _check(second, alone, chat, at_least=first.usage.prompt_tokens)
        for session in ("other", "and another"):  # take both slots
            await ask(engine, OTHER, session=session)
        assert (await ask(engine, chat, session="third", is_stateless=True)).usage.cached_tokens <= 1
        await ask(engine, OTHER, session="a fourth", is_stateless=True)
    async with _engine(tiny, tmp_path) as engine:
        assert (await ask(engine, chat, session="fifth")).usage.cached_tokens <= 1

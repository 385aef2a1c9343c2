"""The engine as its users see it, beside transformers and PEFT alone on the same weights."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import torch

from chatbot.engine.base import (
    AdapterRejected,
    AdapterUnknown,
    ChatMessage,
    Delta,
    EngineBusy,
    GenerationFailed,
    GenerationRequest,
    ModelNotFound,
    PromptTooLong,
    Sampling,
)
from chatbot.engine.loaded_model import LoadedModel
from chatbot.engine.local import LocalEngine
from tests.engine.alone import Alone
from tests.engine.talk import GREEDY, ask, says
from tests.tiny import make_tiny_model

LONG = Sampling(temperature=0, max_tokens=400)


@pytest.fixture
async def engine(tiny: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(tiny, slots=16, threads=1)
    await engine.start()
    yield engine
    await engine.stop()


async def test_sixteen_conversations_of_three_personas_each_reply_as_if_alone(
    engine: LocalEngine, tiny: Path, pirate: Path, poet: Path
) -> None:
    digests = [None, await engine.load_adapter(pirate), await engine.load_adapter(poet)]
    alone = [Alone(tiny), Alone(tiny, pirate), Alone(tiny, poet)]
    chats = [(*says(f"hello number {i}, " + "and so on " * i),) for i in range(16)]
    replies = await asyncio.gather(
        *(ask(engine, chat, session=str(i), adapter=digests[i % 3]) for i, chat in enumerate(chats))
    )
    expected = [alone[i % 3].reply(chat, GREEDY.max_tokens) for i, chat in enumerate(chats)]
    assert [reply.text for reply in replies] == expected
    assert len(set(expected)) == 16


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "qwen3"])
async def test_every_architecture_replies_as_transformers_does(tmp_path: Path, architecture: str) -> None:
    folder = make_tiny_model(tmp_path, architecture=architecture)
    engine = LocalEngine(folder, slots=4, threads=1, prefill_tokens=48)
    await engine.start()
    chats = [says("hi"), says("tell me a story " * 9), says("one", "two", "three")]
    replies = await asyncio.gather(*(ask(engine, chat, session=str(i)) for i, chat in enumerate(chats)))
    await engine.stop()
    alone = Alone(folder)
    assert [reply.text for reply in replies] == [alone.reply(chat, GREEDY.max_tokens) for chat in chats]


async def test_a_sliding_window_is_kept(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path, architecture="mistral", sliding_window=20)
    engine = LocalEngine(folder, slots=4, threads=1, prefill_tokens=32)
    await engine.start()
    chats = [says("a long message that fills the window more than once " * i) for i in (1, 2, 3)]
    replies = await asyncio.gather(*(ask(engine, chat, session=str(i)) for i, chat in enumerate(chats)))
    await engine.stop()
    alone = Alone(folder)
    assert [reply.text for reply in replies] == [alone.reply(chat, GREEDY.max_tokens) for chat in chats]


async def test_the_next_turn_computes_only_what_is_new(engine: LocalEngine, tiny: Path) -> None:
    first = await ask(engine, says("my name is Mira"))
    chat = says("my name is Mira", first.text, "what is my name?")
    second = await ask(engine, chat)
    assert second.usage.cached_tokens >= first.usage.prompt_tokens
    assert second.text == Alone(tiny).reply(chat, GREEDY.max_tokens)


async def test_an_edited_history_is_answered_anew(engine: LocalEngine, tiny: Path) -> None:
    await ask(engine, says("my name is Mira", "hello Mira", "what is my name?"))
    edited = says("my name is Otto", "hello Otto", "what is my name?")
    reply = await ask(engine, edited)
    assert 0 < reply.usage.cached_tokens < 20
    assert reply.text == Alone(tiny).reply(edited, GREEDY.max_tokens)


async def test_one_prefix_under_a_then_b_then_none_gives_each_its_own_reply(
    engine: LocalEngine, tiny: Path, pirate: Path, poet: Path
) -> None:
    chat = says("the same long beginning for everybody, " * 3)
    for folder in (pirate, poet, None, pirate):
        digest = None if folder is None else await engine.load_adapter(folder)
        for session in ("shared", f"own-{digest}"):
            reply = await ask(engine, chat, adapter=digest, session=session)
            assert reply.text == Alone(tiny, folder).reply(chat, GREEDY.max_tokens)


async def test_a_persona_prompt_is_shared_between_conversations(engine: LocalEngine, tiny: Path) -> None:
    persona = ChatMessage("system", "You are Ada. You are kind, brief and fond of owls. " * 2)
    await ask(engine, (persona, *says("hi")), session="a")
    chat = (persona, *says("hello there"))
    reply = await ask(engine, chat, session="b")
    assert reply.usage.cached_tokens > 50
    assert reply.text == Alone(tiny).reply(chat, GREEDY.max_tokens)


async def test_a_16_bit_model_with_packed_weights_replies_as_transformers_does(tmp_path: Path, pirate: Path) -> None:
    folder = make_tiny_model(tmp_path / "half", dtype=torch.bfloat16)
    engine = LocalEngine(folder, threads=1)
    await engine.start()
    digest = await engine.load_adapter(pirate)
    chat = says("hello")
    replies = [await ask(engine, chat, adapter=adapter) for adapter in (None, digest)]
    await engine.stop()
    assert [reply.text for reply in replies] == [
        Alone(folder, adapter).reply(chat, GREEDY.max_tokens) for adapter in (None, pirate)
    ]


async def test_adapters_loaded_at_once_leave_the_worker_the_newest_set(
    engine: LocalEngine, pirate: Path, poet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, kept, goes_on = LoadedModel.keep_adapters, list[set[str]](), threading.Event()

    def held_with_one(loaded: LoadedModel, digests: set[str]) -> None:
        if len(digests) == 1:
            goes_on.wait()
        keep(loaded, digests)
        kept.append(digests)

    monkeypatch.setattr(LoadedModel, "keep_adapters", held_with_one)
    first = asyncio.create_task(engine.load_adapter(pirate))
    while not engine._keeping_adapters.locked():
        await asyncio.sleep(0)
    second = asyncio.create_task(engine.load_adapter(poet))
    await asyncio.wait({second}, timeout=0.5)
    goes_on.set()
    assert {await first, await second} == kept[-1]


async def test_counting_tokens_agrees_with_usage(engine: LocalEngine) -> None:
    chat = (ChatMessage("system", "Be kind."), *says("hello", "hi", "tell me <|end|>"))
    assert engine.count_tokens(chat) == (await ask(engine, chat)).usage.prompt_tokens


async def test_usage_is_told(engine: LocalEngine) -> None:
    reply = await ask(engine, says("hello"), sampling=Sampling(temperature=0, max_tokens=3))
    assert reply.reason == "length"
    assert reply.usage.completion_tokens == 3
    assert 0 < reply.usage.first_token_s <= reply.usage.total_s


async def test_the_time_to_the_first_token_begins_before_the_prompt_is_rendered(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, rendered_at = engine._running(), []

    async def render(*arguments: Any) -> Any:
        prompt = await LoadedModel.render(loaded, *arguments)
        rendered_at.append(time.perf_counter())
        return prompt

    monkeypatch.setattr(loaded, "render", render)
    generation = engine.generate(GenerationRequest("timed", says("hello"), GREEDY))
    await anext(generation)
    (row,) = engine._queues
    assert row.asked_at < rendered_at[0]
    await generation.aclose()


async def test_a_prompt_that_fills_the_context_is_too_long(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, context_tokens=40)
    await engine.start()
    frame = engine.count_tokens(says(""))
    with pytest.raises(PromptTooLong, match="40 tokens"):
        await ask(engine, says("x" * (40 - frame)))
    reply = await ask(engine, says("x" * (39 - frame)))
    await engine.stop()
    assert reply.usage.prompt_tokens == 39
    assert reply.usage.completion_tokens == 1


async def test_the_context_is_never_more_than_the_model_can_see(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, context_tokens=100_000)
    await engine.start()
    context = engine.base.context_tokens
    await engine.stop()
    assert context == 512


async def test_a_reply_ends_where_the_context_does(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=2, threads=1, context_tokens=60, ignore_end=True)
    await engine.start()
    short, long = await asyncio.gather(ask(engine, says("hi"), session="a"), ask(engine, says("x" * 44), session="b"))
    await engine.stop()
    assert (short.reason, short.usage.completion_tokens) == ("length", GREEDY.max_tokens)
    assert (long.reason, long.usage.prompt_tokens + long.usage.completion_tokens) == ("length", 60)


async def test_a_stop_string_ends_the_reply_and_is_not_part_of_it(engine: LocalEngine) -> None:
    whole = (await ask(engine, says("hello"))).text
    stop = whole[5:8]
    reply = await ask(engine, says("hello"), sampling=Sampling(temperature=0, max_tokens=24, stop=(stop, "")))
    assert reply.reason == "stop"
    assert reply.text == whole[: whole.index(stop)]


async def test_a_seeded_reply_is_the_same_alone_and_in_a_crowd(engine: LocalEngine) -> None:
    sampling = Sampling(temperature=1.2, top_p=0.9, seed=7, max_tokens=20)
    alone = await ask(engine, says("hello"), sampling=sampling, session="alone")
    crowd = await asyncio.gather(
        *(ask(engine, says(f"noise {i}"), sampling=Sampling(temperature=1.5), session=f"n{i}") for i in range(7)),
        ask(engine, says("hello"), sampling=sampling, session="crowded"),
    )
    assert crowd[-1].text == alone.text


async def test_control_tokens_end_a_reply_and_never_become_text(engine: LocalEngine) -> None:
    hot = Sampling(temperature=50.0, max_tokens=400)
    replies = await asyncio.gather(*(ask(engine, says("hi"), sampling=hot, session=str(i)) for i in range(12)))
    assert not any("<|" in reply.text and "|>" in reply.text for reply in replies)
    assert "stop" in {reply.reason for reply in replies}


async def test_closing_the_iterator_frees_the_slot_for_who_waits(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, ignore_end=True)
    await engine.start()
    endless = GenerationRequest("a", says("hello"), Sampling(temperature=0, max_tokens=400))
    stream = engine.generate(endless)
    assert isinstance(await anext(stream), Delta)
    waiting = asyncio.create_task(ask(engine, says("my turn"), session="b"))
    await stream.aclose()
    reply = await waiting
    await engine.stop()
    assert reply.usage.completion_tokens == GREEDY.max_tokens


async def test_what_a_cancelled_turn_computed_is_kept(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, ignore_end=True)
    await engine.start()
    chat = says("a question that is long enough to matter")
    stream = engine.generate(GenerationRequest("a", chat, Sampling(max_tokens=400)))
    await anext(stream)
    await stream.aclose()
    again = await ask(engine, chat, session="a")
    await engine.stop()
    assert again.usage.cached_tokens == again.usage.prompt_tokens - 1


async def test_cancelling_the_task_cancels_the_generation(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, ignore_end=True)
    await engine.start()
    started = asyncio.Event()

    async def listen() -> None:
        async for _ in engine.generate(GenerationRequest("a", says("hi"), LONG)):
            started.set()

    task = asyncio.create_task(listen())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    reply = await ask(engine, says("hello"), session="b")
    await engine.stop()
    assert reply.usage.completion_tokens == GREEDY.max_tokens


async def test_too_many_at_once_are_refused_and_the_others_served(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=2, threads=1, max_waiting=1, ignore_end=True)
    await engine.start()
    results = await asyncio.gather(
        *(ask(engine, says("hello"), session=str(i), sampling=LONG) for i in range(6)), return_exceptions=True
    )
    await engine.stop()
    refused = [result for result in results if isinstance(result, EngineBusy)]
    assert len(refused) == 3
    assert len({result.text for result in results if not isinstance(result, BaseException)}) == 1


async def test_a_generation_with_a_place_is_not_refused_and_one_without_takes_its_own(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, max_waiting=0, ignore_end=True)
    await engine.start()
    with engine.place(None):
        with pytest.raises(EngineBusy):
            await ask(engine, says("hello"))
        stream = engine.generate(GenerationRequest("a", says("hello"), LONG, has_place=True))
        await anext(stream)
        await stream.aclose()
    stream = engine.generate(GenerationRequest("a", says("hello"), LONG))
    await anext(stream)
    with pytest.raises(EngineBusy), engine.place(None):
        pass
    await stream.aclose()
    await engine.stop()


async def test_an_adapter_that_is_not_loaded_is_unknown(engine: LocalEngine, pirate: Path) -> None:
    with pytest.raises(AdapterUnknown):
        await ask(engine, says("hi"), adapter="0" * 64)
    digest = await engine.load_adapter(pirate)
    assert await engine.load_adapter(pirate) == digest
    await engine.unload_adapter(digest)
    await engine.unload_adapter(digest)
    with pytest.raises(AdapterUnknown):
        await ask(engine, says("hi"), adapter=digest)


async def test_unloading_leaves_running_generations_their_adapter(tiny: Path, pirate: Path) -> None:
    engine = LocalEngine(tiny, slots=2, threads=1)
    await engine.start()
    digest = await engine.load_adapter(pirate)
    stream = engine.generate(GenerationRequest("a", says("hello"), GREEDY, digest))
    text = ""
    async for event in stream:
        if isinstance(event, Delta):
            text += event.text
            await engine.unload_adapter(digest)
    plain = await ask(engine, says("hello"), session="b")
    await engine.stop()
    assert text == Alone(tiny, pirate).reply(says("hello"), GREEDY.max_tokens)
    assert plain.text == Alone(tiny).reply(says("hello"), GREEDY.max_tokens)


async def test_a_rejected_adapter_changes_nothing(engine: LocalEngine, tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(AdapterRejected, match=r"adapter_config\.json"):
        await engine.load_adapter(tmp_path)
    assert (await ask(engine, says("hi"))).text == Alone(tiny).reply(says("hi"), GREEDY.max_tokens)


async def test_a_missing_model_is_told_at_start(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "nothing")
    with pytest.raises(ModelNotFound, match="no such directory"):
        await engine.start()
    with pytest.raises(RuntimeError, match="not running"):
        _ = engine.base
    with pytest.raises(GenerationFailed, match="stopped"):
        await ask(engine, says("hi"))
    await engine.stop()


async def test_stopping_ends_what_runs_and_what_comes_too_late(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1, ignore_end=True)
    await engine.start()
    running = engine.generate(GenerationRequest("a", says("hi"), LONG))
    await anext(running)
    others = [asyncio.create_task(ask(engine, says("hi"), session=str(i))) for i in range(3)]
    await asyncio.sleep(0)
    await engine.stop()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert all(isinstance(result, GenerationFailed) for result in results)
    with pytest.raises(GenerationFailed, match="stopped"):
        [event async for event in running]
    await engine.stop()


async def test_an_engine_can_be_started_again(tiny: Path) -> None:
    engine = LocalEngine(tiny, slots=1, threads=1)
    for _ in range(2):
        await engine.start()
        assert (await ask(engine, says("hi"))).text
        await engine.stop()


async def test_the_base_is_described(engine: LocalEngine, tiny: Path) -> None:
    assert engine.base.name == "tiny"
    assert len(engine.base.digest) == 64
    assert engine.base.context_tokens == 512

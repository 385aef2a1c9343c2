"""Replies are the same with drafts and without: to the token, to their end, and in what the slot keeps of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from chatbot.engine.attention import Chunk
from chatbot.engine.base import ChatMessage, Delta, GenerationRequest, Sampling
from chatbot.engine.local import LocalEngine
from chatbot.engine.runner import Runner
from tests.engine.alone import Alone
from tests.engine.eager import EagerDrafting, draft_always
from tests.engine.talk import GREEDY, Reply, ask, says
from tests.tiny import make_tiny_model

CHATS = [(*says(f"hello hello number {i}, " + "and so on and so on " * i),) for i in range(9)]
SAMPLINGS = [
    Sampling(temperature=0.7, seed=1, max_tokens=60),
    Sampling(temperature=1.5, top_p=0.8, top_k=20, seed=2, max_tokens=60),
    Sampling(temperature=0.2, seed=3, max_tokens=60, repetition_penalty=1.3),
    Sampling(temperature=0.1, seed=4, max_tokens=60, frequency_penalty=0.4, presence_penalty=0.2),
    Sampling(temperature=0, max_tokens=60),
]


@pytest.fixture
async def plain(tiny: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(tiny, slots=9, threads=1, context_tokens=300, speculative=False)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def eager(tiny: Path) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(tiny, slots=9, threads=1, context_tokens=300)
    await engine.start()
    draft_always(engine)
    yield engine
    await engine.stop()


def _kept(engine: LocalEngine) -> list[list[int]]:
    """Return the tokens whose KV each slot holds."""
    return [list(slot.tokens) for slot in engine._running().worker._slots.slots]


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3"])
async def test_greedy_replies_of_many_rows_and_personas_are_those_of_transformers(
    tmp_path: Path, tiny: Path, pirate: Path, poet: Path, architecture: str
) -> None:
    window: dict[str, Any] = {"sliding_window": 20} if architecture == "mistral" else {}
    folder = tiny if architecture == "llama" else make_tiny_model(tmp_path, architecture=architecture, **window)
    personas: list[Path | None] = [None, pirate, poet] if folder is tiny else [None]
    engine = LocalEngine(folder, slots=9, threads=1)
    await engine.start()
    alone = [Alone(folder, persona) for persona in personas]
    drafting = draft_always(engine)
    for i, chat in enumerate(CHATS):
        one = alone[i % len(alone)]
        drafting.known.append(one.template.render(chat) + one.reply_ids(chat, GREEDY.max_tokens))
    digests = [None if persona is None else await engine.load_adapter(persona) for persona in personas]
    replies = await asyncio.gather(
        *(ask(engine, chat, session=str(i), adapter=digests[i % len(digests)]) for i, chat in enumerate(CHATS))
    )
    await engine.stop()
    assert drafting.drafted > 100
    for i, (chat, reply) in enumerate(zip(CHATS, replies, strict=True)):
        assert reply.text == alone[i % len(alone)].reply(chat, GREEDY.max_tokens)


async def test_sampled_and_penalised_replies_and_slots_are_those_of_plain_decoding(
    plain: LocalEngine, eager: LocalEngine
) -> None:
    steps = {plain: 0, eager: 0}
    for engine in steps:
        _count_steps(engine, steps)
    drafting = draft_always(eager)
    for sampling in SAMPLINGS:
        expected = await _ask_all(plain, sampling)
        drafting.known = _kept(plain)
        found = await _ask_all(eager, sampling)
        assert [_told(reply) for reply in found] == [_told(reply) for reply in expected]
        assert _kept(eager) == _kept(plain)
    assert steps[eager] < 0.6 * steps[plain]


def _count_steps(engine: LocalEngine, steps: dict[LocalEngine, int]) -> None:
    runner = engine._running().runner
    original = runner.decode

    def decode(chunks: Sequence[Chunk], adapters: Any) -> torch.Tensor:
        steps[engine] += 1
        return original(chunks, adapters)

    runner.decode = decode  # type: ignore[method-assign]


async def _ask_all(engine: LocalEngine, sampling: Sampling) -> list[Reply]:
    return [await ask(engine, chat, session=str(i), sampling=sampling) for i, chat in enumerate(CHATS[:4])]


async def _ask_both(
    plain: LocalEngine, eager: LocalEngine, chat: tuple[ChatMessage, ...], sampling: Sampling
) -> tuple[Reply, Reply]:
    """Ask one engine and then the other, which has the first one's reply to draft from."""
    expected = await ask(plain, chat, sampling=sampling)
    drafting = eager._running().worker._forward.drafting
    assert isinstance(drafting, EagerDrafting)
    drafting.known = _kept(plain)
    return expected, await ask(eager, chat, sampling=sampling)


def _told(reply: Reply) -> tuple[Any, ...]:
    usage = reply.usage
    return reply.text, reply.reason, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 7, 17])
async def test_a_reply_ends_at_its_last_token_in_the_middle_of_a_draft(
    plain: LocalEngine, eager: LocalEngine, max_tokens: int
) -> None:
    sampling = Sampling(temperature=0, max_tokens=max_tokens)
    expected, found = await _ask_both(plain, eager, CHATS[2], sampling)
    assert _told(found) == _told(expected)
    assert found.usage.completion_tokens == max_tokens
    assert _kept(eager) == _kept(plain)


async def test_a_reply_ends_where_the_context_does(plain: LocalEngine, eager: LocalEngine) -> None:
    full = says("xyz" * 94)
    expected, found = await _ask_both(plain, eager, full, Sampling(temperature=0, max_tokens=400))
    assert _told(found) == _told(expected)
    assert found.reason == "length"
    assert found.usage.prompt_tokens + found.usage.completion_tokens == 300
    assert _kept(eager) == _kept(plain)


async def test_a_stop_string_ends_the_reply_in_the_middle_of_a_draft(
    plain: LocalEngine, eager: LocalEngine, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (await _ask_both(plain, eager, CHATS[1], SAMPLINGS[-1]))[0].text
    for start in range(3, len(whole) - 3, 4):
        sampling = Sampling(temperature=0, max_tokens=60, stop=(whole[start : start + 3],))
        expected, found = [await ask(engine, CHATS[1], sampling=sampling) for engine in (plain, eager)]
        assert _told(found) == _told(expected)
        assert _kept(eager) == _kept(plain)
    assert "failed" not in caplog.text


async def test_the_next_turn_starts_from_what_was_said_and_not_from_what_was_drafted(
    eager: LocalEngine, tiny: Path
) -> None:
    first = await ask(eager, says("hello hello hello"))
    chat = says("hello hello hello", first.text, "hello hello?")
    second = await ask(eager, chat)
    assert second.usage.cached_tokens >= first.usage.prompt_tokens
    assert second.text == Alone(tiny).reply(chat, GREEDY.max_tokens)


async def test_text_of_one_step_comes_at_once(plain: LocalEngine, eager: LocalEngine) -> None:
    expected, _ = await _ask_both(plain, eager, CHATS[1], SAMPLINGS[-1])
    request = GenerationRequest("again", CHATS[1], SAMPLINGS[-1])
    deltas = [event.text async for event in eager.generate(request) if isinstance(event, Delta)]
    assert "".join(deltas) == expected.text
    assert len(deltas) < 0.6 * expected.usage.completion_tokens


async def test_a_step_that_fails_with_drafts_is_computed_without(
    eager: LocalEngine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Runner.decode
    failed = []

    def decode(self: Runner, chunks: Sequence[Chunk], adapters: Any) -> torch.Tensor:
        if any(len(chunk.tokens) > 1 for chunk in chunks):
            failed.append(chunks)
            raise RuntimeError("out of memory")
        return original(self, chunks, adapters)

    monkeypatch.setattr(Runner, "decode", decode)
    replies = await asyncio.gather(*(ask(eager, chat, session=str(i)) for i, chat in enumerate(CHATS)))
    assert failed
    assert [reply.text for reply in replies] == [Alone(tiny).reply(chat, GREEDY.max_tokens) for chat in CHATS]


async def test_drafts_may_be_switched_off(plain: LocalEngine, tiny: Path) -> None:
    assert plain._running().worker._forward.drafting is None
    chat = (ChatMessage("system", "Be kind."), *says("hello hello"))
    assert (await ask(plain, chat)).text == Alone(tiny).reply(chat, GREEDY.max_tokens)

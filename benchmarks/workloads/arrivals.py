"""W6: eight conversations stream, and a prompt as long as the window arrives: how long the others wait for a token."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from benchmarks.peers.peer import Chat, Prompts
from benchmarks.rounds import Figure, Gate, Outcome
from benchmarks.workloads.bench import TOPICS, Bench, chats
from chatbot.engine.base import ChatMessage, Delta, Finish, GenerationRequest, Sampling
from chatbot.engine.local import LocalEngine

STREAMS = 8
LONGEST_TOKENS = 4096
RANK = 0.99
IDLE, BUSY = "99th percentile, alone", "99th percentile, while a long prompt is read"


async def long_prompt_arrives(bench: Bench) -> Outcome:
    """Measure the time between two tokens of eight streams, without and with a long prompt arriving among them."""
    idle, busy, cancelled = [], [], []
    async with bench.engine(slots=STREAMS + 1) as engine:
        for number in range(bench.rounds):
            prompt = _long_prompt(bench, number)
            idle.append(1000 * await _gap(engine, bench.tokens, 3 * number, None))
            busy.append(1000 * await _gap(engine, bench.tokens, 3 * number + 1, prompt))
            cancelled.append(1000 * await _cancel(engine, 3 * number + 2))
    figures = {
        IDLE: Figure(tuple(idle)),
        BUSY: Figure(tuple(busy)),
        "from cancel to the row's being free": Figure(tuple(cancelled)),
    }
    ratio = figures[BUSY].median / figures[IDLE].median
    gate = Gate("between two tokens, with a long prompt over alone", ratio, 2.5, is_at_least=False)
    tokens = len(Prompts(bench.model).tokens([prompt])[0])
    return Outcome(f"W6: a prompt of {tokens} tokens arrives", "ms", figures, (gate,))


async def _gap(engine: LocalEngine, tokens: int, number: int, prompt: Chat | None) -> float:
    """Return the 99th percentile of the seconds between two pieces of text of the eight streams."""
    gaps: list[float] = []
    has_begun = asyncio.Event()
    length = tokens if prompt is None else LONGEST_TOKENS
    streams = asyncio.gather(
        *(
            _stream(engine, f"{number} {at}", chat, length, gaps, has_begun)
            for at, chat in enumerate(chats(STREAMS, number))
        )
    )
    if prompt is None:
        await streams
    else:
        await has_begun.wait()
        gaps.clear()
        started = time.perf_counter()
        await _first_token(engine, f"{number} long", prompt)
        if not gaps:  # nobody got a token: they waited for all of it
            gaps.append(time.perf_counter() - started)
        streams.cancel()
        await asyncio.gather(streams, return_exceptions=True)
    return sorted(gaps)[int(RANK * (len(gaps) - 1))]


async def _stream(
    engine: LocalEngine, session: str, chat: Chat, tokens: int, gaps: list[float], has_begun: asyncio.Event
) -> None:
    before: float | None = None
    async for event in engine.generate(_request(session, chat, tokens)):
        now = time.perf_counter()
        if isinstance(event, Delta):
            if before is not None:
                gaps.append(now - before)
                has_begun.set()
            before = now


async def _first_token(engine: LocalEngine, session: str, chat: Chat) -> None:
    async for event in engine.generate(_request(session, chat, 1)):
        if isinstance(event, Delta | Finish):
            return


async def _cancel(engine: LocalEngine, number: int) -> float:
    """Return the seconds from leaving a stream until a new one, for which only its row is left, has its first token."""
    *asked, last = chats(STREAMS + 2, number)
    crowd = [_open(engine, f"{number} {at}", chat) for at, chat in enumerate(asked)]
    for stream in crowd:
        await anext(stream)
    waiting = asyncio.ensure_future(_first_token(engine, f"{number} next", last))
    await asyncio.sleep(0)
    started = time.perf_counter()
    await crowd.pop().aclose()
    await waiting
    seconds = time.perf_counter() - started
    for stream in crowd:
        async with aclosing(stream):
            pass
    return seconds


def _open(engine: LocalEngine, session: str, chat: Chat) -> AsyncGenerator[Delta | Finish, None]:
    return engine.generate(_request(session, chat, LONGEST_TOKENS))


def _request(session: str, chat: Chat, tokens: int) -> GenerationRequest:
    return GenerationRequest(session, chat, Sampling(temperature=0, max_tokens=tokens))


def _long_prompt(bench: Bench, number: int) -> Chat:
    """Return a prompt that nearly fills the window, at most 4096 tokens; another number begins another one."""
    prompts = Prompts(bench.model)
    wanted = min(bench.context_tokens, LONGEST_TOKENS) - 16
    words = [TOPICS[number % len(TOPICS)], "the", "rain", "fell", "on", "the", "town", "and", "nobody", "minded"]
    count = wanted
    while len(prompts.tokens([_chat(words, count)])[0]) > wanted:
        count = count * 9 // 10
    return _chat(words, count)


def _chat(words: list[str], count: int) -> Chat:
    return (ChatMessage("user", " ".join(words[at % len(words)] for at in range(count))),)

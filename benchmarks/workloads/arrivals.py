"""W6: eight conversations stream, and a prompt as long as the window arrives: how long the others wait for a token."""

import asyncio
import time
from collections import Counter
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


class _Gaps:
    """The seconds between two pieces of text of each of the eight streams, from when all of them have had their first.

    What comes before that holds the reading of their own prompts.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.all_have_begun = asyncio.Event()
        self._last: dict[str, float] = {}
        self._counted: Counter[str] = Counter()

    def heard(self, session: str) -> int:
        """Count a piece of text that has just come, and return how many of this stream have been."""
        now = time.perf_counter()
        if self.all_have_begun.is_set():
            self.seconds.append(now - self._last[session])
            self._counted[session] += 1
        self._last[session] = now
        if len(self._last) == STREAMS and not self.all_have_begun.is_set():
            self._last = dict.fromkeys(self._last, now)
            self.all_have_begun.set()
        return self._counted[session]


async def _gap(engine: LocalEngine, tokens: int, number: int, prompt: Chat | None) -> float:
    """Return the 99th percentile of the seconds between two pieces of text of the eight streams."""
    gaps = _Gaps()
    most = tokens if prompt is None else LONGEST_TOKENS
    async with asyncio.TaskGroup() as group:
        streams = [
            group.create_task(_stream(engine, f"{number} {at}", chat, most, gaps))
            for at, chat in enumerate(chats(STREAMS, number))
        ]
        await gaps.all_have_begun.wait()
        if prompt is not None:
            started = time.perf_counter()
            await _first_token(engine, f"{number} long", prompt)
            if not gaps.seconds:  # nobody got a token: they waited for all of it
                gaps.seconds.append(time.perf_counter() - started)
            for stream in streams:
                stream.cancel()
    return sorted(gaps.seconds)[int(RANK * (len(gaps.seconds) - 1))]


async def _stream(engine: LocalEngine, session: str, chat: Chat, most: int, gaps: _Gaps) -> None:
    """Listen until so many gaps of this stream have been counted."""
    async with aclosing(_open(engine, session, chat)) as events:
        async for event in events:
            if isinstance(event, Delta) and gaps.heard(session) == most:
                break
    assert gaps.all_have_begun.is_set(), "a stream ended before all had begun"


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

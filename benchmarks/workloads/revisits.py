"""W5: more conversations than slots. How long a returning one waits for its first token, by where its state is."""

import time
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Chat, Prompts
from benchmarks.rounds import Figure, Gate, Outcome
from benchmarks.workloads.bench import TOPICS, Bench
from chatbot.engine.base import ChatMessage, GenerationRequest, Sampling
from chatbot.engine.local import LocalEngine

SLOTS = 3
CONVERSATIONS = 3 * SLOTS
HISTORY_TOKENS = 700
RESIDENT, HOST, FILE, ANEW = "in its slot", "in host memory", "in a file, after a restart", "nowhere: read anew"


async def revisits(bench: Bench) -> Outcome:
    """Visit all conversations, then come back to each: at once, after all others, after a restart, without any tier."""
    history = _history(bench)
    found: dict[str, list[float]] = {RESIDENT: [], HOST: [], FILE: [], ANEW: []}
    folder = bench.scratch / "kv"
    for number in range(bench.rounds):
        name = f"round {number}"
        async with _engine(bench, folder) as engine:
            for session in range(CONVERSATIONS):
                await _visit(engine, name, session, history)
                found[RESIDENT].append(await _visit(engine, name, session, history, "And then?"))
            for session in range(CONVERSATIONS):
                found[HOST].append(await _visit(engine, name, session, history, "And what now?"))
        async with _engine(bench, folder) as engine:
            await _visit(engine, f"{name}, warm up", 0, ())
            for session in range(SLOTS):
                found[FILE].append(await _visit(engine, name, session, history, "Who was it?"))
        async with _engine(bench, None) as engine:
            await _visit(engine, f"{name}, warm up", 0, ())
            for session in range(SLOTS):
                found[ANEW].append(await _visit(engine, name, session, history, "Who was it?"))
    figures = {place: Figure(tuple(1000 * seconds for seconds in times)) for place, times in found.items()}
    host, file = figures[HOST].median / figures[RESIDENT].median, figures[FILE].median / figures[ANEW].median
    gates = (
        Gate("host memory over slot", host, 1.5, is_at_least=False),
        Gate("file over reading anew", file, 0.2, is_at_least=False),
    )
    tokens = len(Prompts(bench.model).tokens([history])[0])
    return Outcome(f"W5: coming back to {tokens} tokens", "ms to the first token", figures, gates)


def _engine(bench: Bench, folder: Path | None) -> Any:  # an async context manager
    tiers = {"kv_dir": folder} if folder else {"kv_host_mib": 0, "kv_disk_mib": 0}
    return bench.engine(SLOTS, **tiers)


async def _visit(engine: LocalEngine, name: str, session: int, history: Chat, *questions: str) -> float:
    """Return the seconds from the request to the first text of the reply."""
    first = ChatMessage("user", f"{name}, {session}: {TOPICS[session % len(TOPICS)]}.")
    chat = (first, ChatMessage("assistant", "I see."), *history, *(ChatMessage("user", text) for text in questions))
    chat = chat if questions else chat[:-1] if len(chat) > 2 else chat[:1]
    request = GenerationRequest(f"{name}, {session}", chat, Sampling(temperature=0, max_tokens=4))
    started = time.perf_counter()
    first_s: float | None = None
    async for _ in engine.generate(request):
        first_s = first_s or time.perf_counter() - started
    assert first_s is not None
    return first_s


def _history(bench: Bench) -> Chat:
    """Return turns of about 700 tokens, or two thirds of the window where that is less, ending with a reply."""
    prompts = Prompts(bench.model)
    wanted = min(HISTORY_TOKENS, bench.context_tokens * 2 // 3)
    turns: Chat = ()
    while not turns or len(prompts.tokens([turns])[0]) < wanted:
        topic = TOPICS[len(turns) // 2 % len(TOPICS)]
        turns += (
            ChatMessage("user", f"Let me tell you what I think of {topic}."),
            ChatMessage("assistant", f"I would like to hear what you think of {topic}, please go on."),
        )
    return turns

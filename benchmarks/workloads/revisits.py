"""W5: more conversations than slots. How long a returning one waits for its first token, by where its state is."""

import asyncio
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.peers.engine import talk
from benchmarks.peers.peer import Chat, Prompts
from benchmarks.rounds import Figure, Gate, Outcome
from benchmarks.workloads.bench import TOPICS, Bench
from chatbot.engine.base import ChatMessage, Usage
from chatbot.engine.local import LocalEngine

SLOTS = 3
CONVERSATIONS = 3 * SLOTS
HISTORY_TOKENS = 700
REPLY_TOKENS = 4
QUESTION, ASIDE = "Who was it?", "And then?"
"""What is measured, and what is asked before and after: of it nothing but the history is of use to the question."""
PAUSE_S = 0.2
"""How long nothing is asked before a return from host memory, far less than a reader takes. The engine uses such quiet
to copy the slots that changed; where it has none, a slot is copied before it can be given to who comes back."""
RESIDENT, HOST, AT_ONCE = "in its slot", "in host memory", "in host memory, no pause before"
FILE, ANEW = "in a file, after a restart", "nowhere: read anew"

Found = dict[str, list[Usage]]
"""What each measured question took, by where the state was."""


async def revisits(bench: Bench) -> Outcome:
    """Visit all conversations, then come back to each: at once, after all others, after a restart, without any tier.

    The claims are of a return after a pause; without one it is as on a server that never rests.
    """
    history = _history(bench)
    rounds = [await _round(bench, f"round {number}", history) for number in range(bench.rounds)]
    found = {place: list(chain.from_iterable(each[place] for each in rounds)) for place in rounds[0]}
    _check_equal_work(found)
    figures = {place: Figure(tuple(1000 * usage.first_token_s for usage in each)) for place, each in found.items()}
    host, file = figures[HOST].median / figures[RESIDENT].median, figures[FILE].median / figures[ANEW].median
    gates = (
        Gate("host memory over slot", host, 1.5, is_at_least=False),
        Gate("file over reading anew", file, 0.2, is_at_least=False),
    )
    tokens = len(Prompts(bench.model).tokens([history])[0])
    return Outcome(f"W5: coming back to {tokens} tokens", "ms to the first token", figures, gates)


async def _round(bench: Bench, name: str, history: Chat) -> Found:
    """Measure conversations that nobody had before, in three engines one after the other."""
    sessions = [f"{name}, {number}" for number in range(CONVERSATIONS)]
    found: Found = {}
    async with _engine(bench, bench.scratch / "kv") as engine:
        found[RESIDENT] = [await _visit(engine, session, history) for session in sessions]
        found[HOST] = [await _come_back(engine, session, history, PAUSE_S) for session in sessions]
        found[AT_ONCE] = [await _come_back(engine, session, history) for session in sessions]
    for place, folder in ((FILE, bench.scratch / "kv"), (ANEW, None)):
        async with _engine(bench, folder) as engine:
            await _ask(engine, f"{name}, warm up", (), ASIDE)
            found[place] = [await _come_back(engine, session, history) for session in sessions[:SLOTS]]
    return found


def _engine(bench: Bench, folder: Path | None) -> Any:  # an async context manager
    tiers = {"kv_dir": folder} if folder else {"kv_host_mib": 0, "kv_disk_mib": 0}
    return bench.engine(SLOTS, **tiers)


async def _visit(engine: LocalEngine, session: str, history: Chat) -> Usage:
    """Begin a conversation, and return what the question after it took."""
    await _ask(engine, session, history, ASIDE)
    return await _come_back(engine, session, history)


async def _come_back(engine: LocalEngine, session: str, history: Chat, pause_s: float = 0.0) -> Usage:
    """Return what the question took; what is asked after it stands between it and the next time."""
    await asyncio.sleep(pause_s)
    usage = await _ask(engine, session, history, QUESTION)
    await _ask(engine, session, history, ASIDE)
    return usage


async def _ask(engine: LocalEngine, session: str, history: Chat, question: str) -> Usage:
    """Ask after a history that begins as no other session's does."""
    chat = (ChatMessage("user", f"{session}: hello."), ChatMessage("assistant", "Hello."), *history)
    turn = await talk(engine, session, (*chat, ChatMessage("user", question)), REPLY_TOKENS)
    return turn.usage


def _check_equal_work(found: Found) -> None:
    """Assert that wherever the state was kept, equally many tokens were new: only then are the times comparable."""
    kept = [usage for place in (RESIDENT, HOST, AT_ONCE, FILE) for usage in found[place]]
    new = {usage.prompt_tokens - usage.cached_tokens for usage in kept}
    assert len(new) == 1, f"some had to read more tokens than others: {sorted(new)}"


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

"""W3: one conversation that grows for twenty turns: the first token of each turn, and how much was kept for it."""

from collections.abc import Sequence
from itertools import pairwise

from benchmarks.peers.engine import Turn, talk
from benchmarks.peers.generate import GeneratePeer
from benchmarks.peers.peer import Chat
from benchmarks.rounds import Figure, Gate, Outcome
from benchmarks.workloads.bench import TOPICS, Bench
from chatbot.engine.base import ChatMessage
from chatbot.engine.local import LocalEngine

EARLY, LATE = 2, 20
REPLY_TOKENS = 12


async def growing_history(bench: Bench) -> Outcome:
    """Hold the conversation once a round, each in a session of its own; `generate` reads the last prompt anew."""
    early, late, anew, kept = [], [], [], []
    again = GeneratePeer(bench.model, bench.device, bench.threads)
    async with bench.engine(slots=1, ignore_end=False) as engine:
        await _conversation(engine, "warm up")
        for number in range(bench.rounds):
            turns, chat = await _conversation(engine, f"round {number}")
            early.append(1000 * turns[EARLY - 1].usage.first_token_s)
            late.append(1000 * turns[LATE - 1].usage.first_token_s)
            kept.append(_kept(turns))
            anew.append(1000 * await again.run([chat], 1))
    await again.close()
    figures = {
        f"turn {EARLY}": Figure(tuple(early)),
        f"turn {LATE}": Figure(tuple(late)),
        f"turn {LATE}, read anew by generate": Figure(tuple(anew)),
    }
    growth = figures[f"turn {LATE}"].median / figures[f"turn {EARLY}"].median
    gates = (
        Gate(f"first token at turn {LATE} over turn {EARLY}", growth, 1.3, is_at_least=False),
        Gate("share of the history's tokens that were kept", min(kept), 0.97),
    )
    name = f"W3: a conversation of {LATE} turns, {turns[-1].usage.prompt_tokens} tokens"
    return Outcome(name, "ms to the first token", figures, gates)


async def _conversation(engine: LocalEngine, session: str) -> tuple[list[Turn], Chat]:
    """Return every turn, and the chat as it was before the last reply."""
    chat: Chat = ()
    turns: list[Turn] = []
    for number in range(LATE):
        chat += (ChatMessage("user", f"{session}, {number}: and what about {TOPICS[number % len(TOPICS)]}?"),)
        turns.append(await talk(engine, session, chat, REPLY_TOKENS))
        chat += (ChatMessage("assistant", turns[-1].text or "I see."),)
    return turns, chat[:-1]


def _kept(turns: Sequence[Turn]) -> float:
    """Return which share of all that earlier turns had read and said was not computed again for the next."""
    usages = [turn.usage for turn in turns]
    history = sum(usage.prompt_tokens + usage.completion_tokens for usage in usages[:-1])
    return sum(after.cached_tokens for _, after in pairwise(usages)) / history

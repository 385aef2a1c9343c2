"""W1 and W2: tokens per second for one conversation, and for many at once that come together."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from benchmarks.peers.continuous_batching import ContinuousBatchingPeer
from benchmarks.peers.engine import EnginePeer
from benchmarks.peers.generate import GeneratePeer
from benchmarks.peers.llama_cpp import LlamaCppPeer
from benchmarks.peers.peer import Peer
from benchmarks.rounds import Figure, Gate, Outcome, in_turns, made, over
from benchmarks.workloads.bench import ROOM_TOKENS, Bench, chats, close
from benchmarks.workloads.personas import random_adapters

MANY = 32

Maker = Callable[[], Peer]


async def one_stream(bench: Bench) -> Outcome:
    """W1: one conversation, without and with an adapter; `generate` also with weights of as many bits as ours."""
    (adapter,) = random_adapters(bench, 1)
    async with bench.engine(slots=2) as engine:
        digest = await engine.load_adapter(adapter)
        adapted = EnginePeer(engine, "engine, 1 adapter", (digest,))
        figures = await _rates(bench, [EnginePeer(engine), adapted], streams=1, others=_halved(bench))
    return Outcome("W1: one conversation", "tokens/s", figures, _gates(figures, {"generate": 4.0, "llama.cpp": 0.65}))


async def many_streams(bench: Bench) -> Outcome:
    """W2: 32 conversations that begin together; all replies have the same length."""
    async with bench.engine(slots=MANY) as engine:
        figures = await _rates(bench, [EnginePeer(engine)], streams=MANY)
    gates = _gates(figures, {"continuous batching": 5.0, "llama.cpp": 1.1})
    return Outcome(f"W2: {MANY} conversations at once", "tokens/s", figures, gates)


def _halved(bench: Bench) -> list[Maker]:
    """Return `generate` in bfloat16 for a CPU, where by default it is in float32: either may be the faster."""
    if bench.device.type != "cpu":
        return []
    where = (bench.model, bench.device, bench.threads)
    return [partial(GeneratePeer, *where, name="generate, bfloat16", dtype=torch.bfloat16)]


async def _rates(bench: Bench, ours: list[EnginePeer], streams: int, others: Sequence[Maker] = ()) -> dict[str, Figure]:
    room = ROOM_TOKENS + bench.tokens
    where = (bench.model, bench.device, bench.threads)
    makers: list[Maker] = [
        partial(GeneratePeer, *where),
        *others,
        partial(ContinuousBatchingPeer, *where, kv_tokens=2 * streams * room),
    ]
    if bench.has_llama_cpp:
        place = (bench.model, bench.threads, bench.scratch)
        makers.append(partial(LlamaCppPeer, *place, streams=streams, context_tokens=room))
    peers = [*ours, *made(*makers)]
    try:
        return await in_turns(peers, partial(chats, streams), bench.tokens, bench.rounds)
    finally:
        await close(peers)


def _gates(figures: dict[str, Figure], bounds: dict[str, float]) -> tuple[Gate, ...]:
    return tuple(
        Gate(f"engine over {peer}", over(figures, "engine", peer), bound)
        for peer, bound in bounds.items()
        if peer in figures
    )

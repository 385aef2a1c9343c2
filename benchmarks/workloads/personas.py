"""W4: eight conversations, each with a persona of its own, beside the same without any."""

from functools import partial
from pathlib import Path

import torch

from benchmarks.peers.engine import EnginePeer
from benchmarks.peers.generate import GeneratePeer
from benchmarks.peers.peer import Peer
from benchmarks.random_weights import make_adapter
from benchmarks.rounds import Gate, Outcome, in_turns, made, over
from benchmarks.workloads.bench import Bench, chats, close

PERSONAS = 8
RANK = 16
MIXED, ALONE, UNUSED = f"engine, {PERSONAS} adapters", "engine, 1 adapter", "engine, adapters loaded, none used"
FLOAT32 = f"engine, {PERSONAS} adapters in float32"
PEFT = f"PEFT adapter_names, {PERSONAS} adapters"


async def mixed_personas(bench: Bench) -> Outcome:
    """Measure no adapter, one for all, eight mixed, and PEFT's mixed batch; all of rank 16 on every linear.

    They are in bfloat16, as the bases are and as ours are trained; PEFT computes in float32 with both kinds, and the
    engine reads twice as much of those that others save in float32.
    """
    adapters = random_adapters(bench, PERSONAS)
    wide = random_adapters(bench, PERSONAS, torch.float32)
    async with bench.engine(slots=2 * PERSONAS) as plain, bench.engine(slots=2 * PERSONAS) as engine:
        digests = [await engine.load_adapter(adapter) for adapter in adapters]
        wide_digests = [await engine.load_adapter(adapter) for adapter in wide]
        peers: list[Peer] = [
            EnginePeer(plain),
            EnginePeer(engine, MIXED, digests),
            EnginePeer(engine, FLOAT32, wide_digests),
            EnginePeer(engine, UNUSED),
            EnginePeer(engine, ALONE, digests[:1]),
            *made(partial(GeneratePeer, bench.model, bench.device, bench.threads, adapters, PEFT)),
        ]
        figures = await in_turns(peers, partial(chats, PERSONAS), bench.tokens, bench.rounds)
        await close(peers)
    gates = (
        Gate("8 adapters over none", over(figures, MIXED, "engine"), 0.7),
        *([Gate("8 adapters over PEFT", over(figures, MIXED, PEFT), 6.0)] if PEFT in figures else []),
        Gate("adapters loaded and unused over none", over(figures, UNUSED, "engine"), 0.97),
    )
    return Outcome(f"W4: {PERSONAS} conversations, {PERSONAS} personas", "tokens/s", figures, gates)


def random_adapters(bench: Bench, count: int, dtype: torch.dtype = torch.bfloat16) -> list[Path]:
    """Return folders of adapters with random weights, made once."""
    folders = [bench.scratch / f"adapter-{dtype}-{number}" for number in range(count)]
    for seed, folder in enumerate(folders):
        if not folder.exists():
            make_adapter(bench.model, folder, seed=seed, rank=RANK, device=bench.device, dtype=dtype)
    return folders

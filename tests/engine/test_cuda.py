"""The engine on a GPU, with weights that somebody trained: graphs, 16-bit numbers, KV that travels, adapters.

Needs CUDA; `CHATBOT_TEST_DEVICE=cpu` runs the same elsewhere. In float32 a reply must be the model's own greedy one up
to the rounding of sums; in bfloat16 each of its tokens must be as likely as the likeliest, up to rounding.
"""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.persona import PersonaCard
from adapters.plan import Options
from adapters.progress import Reporter
from adapters.store import AdapterStore
from adapters.train import Job, train
from adapters.validate import read_data
from chatbot.engine.adapter_files import LoraAdapter, read_adapter
from chatbot.engine.attention import Chunk
from chatbot.engine.base import ChatMessage, Finish, GenerationRequest, Sampling
from chatbot.engine.digest import model_digest
from chatbot.engine.graphs import Graphs
from chatbot.engine.local import LocalEngine
from chatbot.engine.probe import TOLERANCE
from chatbot.engine.runner import Runner
from tests.adapters.conftest import write_chats
from tests.engine.eager import draft_always
from tests.engine.reference import Reference
from tests.engine.talk import ask, says
from tests.tiny import make_tiny_adapter, make_tiny_model

DEVICE = torch.device(os.environ.get("CHATBOT_TEST_DEVICE", "cuda"))
HAS_GRAPHS = DEVICE.type == "cuda"
ROOT = Path(__file__).parent.parent.parent
BUNDLED = ROOT / "chatbot" / "base_model"
PERSONAS = [ROOT / "adapters" / "personas" / name / "v1" for name in ("pirate", "poet", "translator", "tutor")]
CHATS = [
    says("Hello, who are you?"),
    says("My name is Ada and I like owls.", "Nice to meet you, Ada.", "What is my name, and what do I like?"),
    says("Tell me something about the sea, about ships, and about those who sail them far from home."),
    says("What is the capital of France?"),
    says("Say good night."),
]
ADA = ChatMessage("system", "You are Ada, and you like owls and long walks by the sea. " * 6)
LONG = says("The rain fell on the town, and nobody minded the rain. " * 60)
GREEDY = Sampling(temperature=0, max_tokens=24)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

pytestmark = [
    pytest.mark.skipif(HAS_GRAPHS and not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("default"),
]


@dataclass(frozen=True)
class Said:
    """A reply as tokens, and what it was a reply to."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    cached_tokens: int


@pytest.fixture(autouse=True)
def _clean_device() -> Iterator[None]:
    yield
    gc.collect()
    if HAS_GRAPHS:
        torch.cuda.empty_cache()


@asynccontextmanager
async def _engine(
    dtype: str, base: Path = BUNDLED, *, graphs: bool = True, **options: Any
) -> AsyncIterator[LocalEngine]:
    settings: dict[str, Any] = {"slots": 8, "threads": 1, "speculative": False, "compiled": False} | options
    engine = LocalEngine(base, device=str(DEVICE), dtype=dtype, **settings)
    await engine.start()
    if not graphs:
        engine._running().runner._shortcut = None
    try:
        yield engine
    finally:
        await engine.stop()


async def _said(
    engine: LocalEngine, chat: tuple[ChatMessage, ...], adapter: str | None = None, *, session: str = "s"
) -> Said:
    """Return a greedy reply."""
    generation = None
    async for event in engine.generate(GenerationRequest(session, chat, GREEDY, adapter)):
        generation = generation or next(each for each in engine._queues if each.session == session)
        if isinstance(event, Finish):
            return Said(tuple(generation.prompt), tuple(generation.reply), event.usage.cached_tokens)
    raise AssertionError("the engine ended a reply without Finish")


async def _all_said(engine: LocalEngine, adapters: Sequence[str | None] = (None,)) -> list[Said]:
    """Return the replies to all chats, asked at once, each with the adapter that falls to it."""
    owners = [adapters[number % len(adapters)] for number in range(len(CHATS))]
    return await asyncio.gather(
        *(_said(engine, chat, owner, session=str(n)) for n, (chat, owner) in enumerate(zip(CHATS, owners, strict=True)))
    )


@cache
def _reference(adapter: Path | None = None) -> Reference:
    return Reference(BUNDLED, DEVICE, adapter)


def _is_greedy(said: Said, dtype: str, adapter: Path | None = None) -> bool:
    """Whether a reply is what the bundled model itself would say, up to what rounding may change on both sides."""
    assert said.reply
    return _reference(adapter).shortfall(said.prompt, said.reply) <= 2 * TOLERANCE[DTYPES[dtype]]


def _graphs(engine: LocalEngine) -> Graphs:
    shortcut = engine._running().runner._shortcut
    assert isinstance(shortcut, Graphs), "the graphs did not pass the probe"
    return shortcut


@pytest.mark.parametrize("dtype", DTYPES)
async def test_replies_side_by_side_are_those_of_transformers(dtype: str) -> None:
    async with _engine(dtype) as engine:
        for _ in range(2):  # the second time from graphs
            assert all(_is_greedy(said, dtype) for said in await _all_said(engine))
        if HAS_GRAPHS:
            assert not _graphs(engine).is_broken
            assert any(graph._recorded for graph in _graphs(engine)._graphs.values())


async def test_graphs_and_plain_steps_say_the_same() -> None:
    async with _engine("float32") as engine:
        from_graphs = [await _all_said(engine) for _ in range(2)]
    async with _engine("float32", graphs=False) as engine:
        plain = await _all_said(engine)
    assert [[each.reply for each in said] for said in from_graphs] == [[each.reply for each in plain]] * 2


@pytest.mark.parametrize("dtype", DTYPES)
async def test_adapters_alone_and_mixed_are_those_of_peft(dtype: str) -> None:
    async with _engine(dtype) as engine:
        digests = [None, *[await engine.load_adapter(folder) for folder in PERSONAS]]
        for folder, digest in zip(PERSONAS, digests[1:], strict=True):
            assert _is_greedy(await _said(engine, CHATS[0], digest, session=folder.parent.name), dtype, folder)
        for _ in range(3):
            said = await _all_said(engine, digests)
            assert all(_is_greedy(each, dtype, of) for each, of in zip(said, [None, *PERSONAS], strict=True))
        assert not HAS_GRAPHS or not _graphs(engine).is_broken


async def test_an_adapter_may_come_and_go_while_others_speak() -> None:
    async with _engine("float32") as engine:
        talking = asyncio.create_task(_all_said(engine))
        for folder in PERSONAS:
            digest = await engine.load_adapter(folder)
            assert _is_greedy(await _said(engine, CHATS[1], digest, session="guest"), "float32", folder)
            await engine.unload_adapter(digest)
        assert all(_is_greedy(each, "float32") for each in await talking)
        assert not HAS_GRAPHS or not _graphs(engine).is_broken


@pytest.mark.parametrize("dtype", DTYPES)
async def test_kv_comes_back_from_memory_and_from_a_file(dtype: str, tmp_path: Path) -> None:
    chat = (ADA, *CHATS[2])
    async with _engine(dtype, slots=1, kv_dir=tmp_path / "kv") as engine:
        first = await _said(engine, chat, session="a")
        await _said(engine, CHATS[1], session="b")
        from_memory = await _said(engine, chat, session="a")
    async with _engine(dtype, slots=1, kv_dir=tmp_path / "kv") as engine:
        from_file = await _said(engine, chat, session="a")
    assert first.cached_tokens == 0
    assert min(from_memory.cached_tokens, from_file.cached_tokens) >= len(first.prompt) - 1
    assert all(_is_greedy(said, dtype) for said in (first, from_memory, from_file))
    if dtype == "float32":
        assert first.reply == from_memory.reply == from_file.reply


async def test_the_beginning_of_another_slot_is_copied() -> None:
    async with _engine("bfloat16", slots=2) as engine:
        first = await _said(engine, (ADA, *CHATS[0]), session="a")
        second = await _said(engine, (ADA, *CHATS[3]), session="b")
        assert second.cached_tokens > len(first.prompt) // 2
        assert _is_greedy(second, "bfloat16")


@pytest.mark.parametrize("dtype", DTYPES)
async def test_a_long_prompt_is_read_in_parts_without_graphs(dtype: str) -> None:
    async with _engine(dtype, graphs=False, prefill_tokens=300) as engine:
        assert _is_greedy(await _said(engine, LONG), dtype)


async def test_a_cancelled_row_is_free_for_the_next() -> None:
    async with _engine("bfloat16", slots=1, ignore_end=True) as engine:
        endless = engine.generate(GenerationRequest("a", CHATS[0], replace(GREEDY, max_tokens=900)))
        await anext(endless)
        await endless.aclose()
        reply = await asyncio.wait_for(ask(engine, CHATS[3], session="b", sampling=GREEDY), 5)
        assert reply.usage.completion_tokens == GREEDY.max_tokens


@contextmanager
def _scarce_memory(spare_mib: int) -> Iterator[None]:
    """Leave so much of the device's memory to whatever runs meanwhile; elsewhere than on a GPU, do nothing."""
    if not HAS_GRAPHS:
        yield
        return
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (64 << 20)) / total)
    try:
        held = [block for size in (2 << 20, 1 << 20, 1 << 15) for block in _all_there_is(size)]
        del held[-32:], held[: spare_mib // 2]
        yield
        held.clear()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _all_there_is(block_bytes: int) -> Iterator[torch.Tensor]:
    while True:
        try:
            yield torch.empty(block_bytes, dtype=torch.uint8, device=DEVICE)
        except torch.OutOfMemoryError:
            return


async def test_a_prompt_too_large_for_memory_is_read_in_smaller_parts(caplog: pytest.LogCaptureFixture) -> None:
    async with _engine("bfloat16", slots=2, prefill_s=10.0) as engine:
        plenty = await _said(engine, CHATS[0], session="a")
        with _scarce_memory(spare_mib=4):
            scarce = await _said(engine, LONG, session="b")
        again = await _said(engine, CHATS[0], session="c")
    assert all(_is_greedy(said, "bfloat16") for said in (plenty, scarce, again))
    assert not HAS_GRAPHS or "out of memory" in caplog.text


async def test_drafts_change_nothing() -> None:
    async with _engine("float32") as engine:
        plain = await _all_said(engine)
    async with _engine("float32", speculative=True) as engine:
        drafting = draft_always(engine)
        drafting.known = [[*said.prompt, *said.reply] for said in plain]
        drafted = [await _all_said(engine) for _ in range(2)]
    assert drafting.drafted > 0
    assert [[each.reply for each in said] for said in drafted] == [[each.reply for each in plain]] * 2


async def test_drawing_depends_on_nothing_but_seed_and_settings() -> None:
    settings = [
        Sampling(temperature=0.8, seed=1, max_tokens=16),
        Sampling(temperature=1.2, top_k=30, top_p=0.9, min_p=0.02, seed=2, max_tokens=16),
        Sampling(temperature=0.7, repetition_penalty=1.2, frequency_penalty=0.3, seed=3, max_tokens=16),
    ]
    async with _engine("float32") as engine:
        alone = [(await ask(engine, CHATS[0], session=str(n), sampling=one)).text for n, one in enumerate(settings)]
        together = await asyncio.gather(
            *(ask(engine, CHATS[0], session=f"b{n}", sampling=one) for n, one in enumerate(settings))
        )
    assert [reply.text for reply in together] == alone


@pytest.mark.usefixtures("as_in_the_engines_thread")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "qwen3"])
def test_logits_of_graphs_are_those_of_plain_steps(architecture: str, dtype: str, tmp_path: Path) -> None:
    window: dict[str, Any] = {"sliding_window": 20} if architecture == "mistral" else {}
    model = make_tiny_model(tmp_path / "model", architecture=architecture, dtype=torch.bfloat16, **window)
    plain, played = (_runner(model, dtype) for _ in range(2))
    plain._shortcut = None
    adapters: list[list[LoraAdapter | None]] = [_adapters(each, model, tmp_path, dtype) for each in (plain, played)]
    for turn in range(4):
        for slot in range(3):
            prompt = Chunk(slot, 0, [(slot * 31 + at * 7 + turn) % 250 for at in range(40)])
            _check_alike(plain.prefill([prompt], adapters[0][slot]), played.prefill([prompt], adapters[1][slot]), dtype)
        chunks = [Chunk(slot, 40, [slot + turn] * (1 + turn % 2)) for slot in range(3)]
        _check_alike(plain.decode(chunks, adapters[0]), played.decode(chunks, adapters[1]), dtype)
        if turn == 1:
            played.free_memory()  # all graphs go, and their pool with them
    renewed = played.renewed(keeps_kv=True)
    _check_alike(plain.decode(chunks, adapters[0]), renewed.decode(chunks, adapters[1]), dtype)
    for runner in (played, renewed):
        assert not HAS_GRAPHS or (runner._shortcut is not None and not runner._shortcut.is_broken)


def _runner(model: Path, dtype: str) -> Runner:
    return Runner(model, slots=4, context_tokens=300, device=DEVICE, dtype=DTYPES[dtype])


def _adapters(runner: Runner, model: Path, folder: Path, dtype: str) -> list[LoraAdapter | None]:
    digest = model_digest(model)
    folders = [folder / f"adapter {seed}" for seed in (1, 2)]
    for seed, path in enumerate(folders):
        if not path.exists():
            make_tiny_adapter(model, path, seed=seed)
    read = [read_adapter(p, runner.linears, base_digest=digest, dtype=DTYPES[dtype], device=DEVICE) for p in folders]
    return [None, *read]


def _check_alike(one: torch.Tensor, other: torch.Tensor, dtype: str) -> None:
    difference = ((one.float() - other.float()).abs().max() / one.float().std()).item()
    assert difference <= 2 * TOLERANCE[DTYPES[dtype]]


async def test_an_adapter_is_trained_and_spoken_with(tmp_path: Path) -> None:
    toy = [[f"what is {w}?", f"{w} be a fine thing, arr"] for w in "abcdefghijkl"]
    data = read_data([write_chats(tmp_path / "toy.jsonl", toy)])
    card, store = PersonaCard("toy", "a toy", "be a toy"), AdapterStore([tmp_path / "adapters"])
    options = Options(epochs=3, lr=1e-3, rank=4)
    outcome = await asyncio.to_thread(
        train, Job(data, BUNDLED, card, store, options, command="chatbot adapter train"), Reporter()
    )
    assert outcome.adapter is not None
    async with _engine("bfloat16") as engine:
        digest = await engine.load_adapter(outcome.adapter.path)
        said = await _said(engine, (ChatMessage("system", "be a toy"), *says("what is a?")), digest)
        assert _is_greedy(said, "bfloat16", outcome.adapter.path)

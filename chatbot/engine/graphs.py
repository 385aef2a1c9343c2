"""CUDA graphs: a forward of a shape that was met before is played back, which takes one call instead of hundreds.

On a GPU a small step costs what Python needs to launch its kernels. A graph does without, at a price: shapes are fixed
(static_batch.py), and so are addresses, those of the adapters' weights too. So a graph belongs to a shape and to a
layout of adapters. The first step of a kind is computed plainly, which warms up; the second one is recorded.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakSet

import torch

from chatbot.engine.adapter_files import LoraAdapter
from chatbot.engine.attention import Chunk, drawn_after
from chatbot.engine.broken_device import is_device_broken
from chatbot.engine.kv import SlotKV
from chatbot.engine.lora import LoraBank
from chatbot.engine.network import Network
from chatbot.engine.out_of_memory import is_out_of_memory
from chatbot.engine.static_batch import BatchShape, StaticBatch

MOST_GRAPHS = 64
MOST_TOKENS = 256
"""A batch beyond that keeps the device busy by itself."""
MOST_COPIED_BYTES = 1 << 29
"""Of a layer's keys and values, which attention within a graph copies."""
log = logging.getLogger(__name__)

Compute = Callable[[], torch.Tensor]
Replay = Callable[[], None]
Record = Callable[[Compute], tuple[Replay, torch.Tensor]]
"""Returns what computes the same again from the same inputs, and the tensor in which the result then is."""


class Recorder:
    """Records CUDA graphs on a stream of their own, so that no other engine's graphs share their workspaces."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graphs: WeakSet[torch.cuda.CUDAGraph] = WeakSet()

    def __call__(self, compute: Compute) -> tuple[Replay, torch.Tensor]:
        graph = torch.cuda.CUDAGraph()
        # Other threads may load an adapter meanwhile; what they do is not part of it. A capture that fails may leave
        # its stream behind as the current one.
        with (
            torch.cuda.stream(torch.cuda.current_stream(self._device)),
            torch.cuda.graph(graph, pool=self._pool(), stream=self._stream, capture_error_mode="thread_local"),
        ):
            logits = compute()
        self._graphs.add(graph)
        return graph.replay, logits

    def _pool(self) -> Any:  # an opaque handle
        """Return the memory of the graphs that are left: one for all, since only one of them computes at a time.

        It dies with the last of them, and torch then takes its handle for a mistake (vllm#28426).
        """
        return next((graph.pool() for graph in self._graphs), None)


class Kind(NamedTuple):
    """What a graph is good for."""

    shape: BatchShape
    layout: int
    """Of the bank: equal numbers mean the same adapters at the same addresses."""
    is_prompt: bool
    """Whether only the last token of each row gets logits."""


class Graph:
    """The forward of one kind; recorded when it is needed for the second time."""

    def __init__(self, network: Network, kv: SlotKV, kind: Kind, record: Record) -> None:
        self.batch = StaticBatch(kv, kind.shape)
        self._network = network
        self._ends = self.batch.ends if kind.is_prompt else None
        self._record = record
        self._is_warm = False
        self._recorded: tuple[Replay, torch.Tensor] | None = None

    def logits(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Return the logits of the whole batch; the next call may overwrite them."""
        self.batch.load(chunks)
        if not self._is_warm:
            logits = self._compute()
            self._is_warm = True
            return logits
        if self._recorded is None:
            self._recorded = self._record(self._compute)
        replay, logits = self._recorded
        replay()
        return logits

    def _compute(self) -> torch.Tensor:
        self.batch.begin()
        logits = self._network.compute(self.batch.tokens, self.batch.positions, self.batch, self._ends)
        self.batch.end()
        return logits


class Graphs:
    """The graphs of one runner, those used last. Used from one thread."""

    def __init__(self, network: Network, kv: SlotKV, bank: LoraBank, record: Record) -> None:
        self._network, self._kv, self._bank, self._record = network, kv, bank, record
        self._graphs: OrderedDict[Kind, Graph] = OrderedDict()
        self.is_broken = False
        self.held: set[str] = set()
        """A graph uses what the bank holds."""

    def decode(self, chunks: Sequence[Chunk], adapters: Sequence[LoraAdapter | None]) -> torch.Tensor | None:
        """Return the logits `[tokens, vocabulary]` after each token, or None for a batch that is not for graphs."""
        shape = BatchShape.holding(chunks, self._kv.shape.max_len)
        if not self._is_for(shape):
            return None
        padded = [*adapters, *[adapters[-1]] * (shape.rows - len(adapters))]
        self._bank.use([adapter for adapter in padded for _ in range(shape.length)])
        graph = self._graph(Kind(shape, self._bank.layout, is_prompt=False))
        logits = self._played(graph, chunks)
        return None if logits is None else logits[graph.batch.places(chunks)]

    def prefill(self, chunks: Sequence[Chunk], adapter: LoraAdapter | None) -> torch.Tensor | None:
        """Return the logits after a small chunk, if it wants them, or None for what is not one small chunk."""
        shape = BatchShape.holding(chunks, self._kv.shape.max_len)
        if len(chunks) > 1 or not self._is_for(shape):
            return None
        self._bank.use([adapter])
        logits = self._played(self._graph(Kind(shape, self._bank.layout, is_prompt=True)), chunks)
        return None if logits is None else logits[: len(drawn_after(chunks))].clone()

    def release(self, keep: set[str]) -> None:
        """Forget the graphs with adapters, if the bank is going to drop all that it laid out."""
        if not self._bank.held <= keep:
            for kind in [kind for kind in self._graphs if kind.layout]:
                del self._graphs[kind]

    def clear(self) -> None:
        """Forget all graphs and what they hold of the device's memory."""
        self._graphs.clear()

    def _is_for(self, shape: BatchShape) -> bool:
        """Whether graphs are good for batches of a shape."""
        kv = self._kv.shape
        copied = 2 * shape.rows * shape.reach * kv.kv_heads * kv.head_dim * self._kv.keys.itemsize
        return not self.is_broken and shape.tokens <= MOST_TOKENS and copied <= MOST_COPIED_BYTES

    def _played(self, graph: Graph, chunks: Sequence[Chunk]) -> torch.Tensor | None:
        """Return a graph's logits, or None from the first one on that fails: the plain way is always open.

        Lack of memory is left to the caller, who has `clear`, and so is a broken device, on which no way is open.
        """
        try:
            return graph.logits(chunks)
        except RuntimeError as error:
            if is_out_of_memory(error) or is_device_broken(error):
                raise
            log.warning("computing without CUDA graphs: %s", error, exc_info=True)
        self.is_broken = True
        self.clear()
        return None

    def _graph(self, kind: Kind) -> Graph:
        graph = self._graphs.pop(kind, None) or Graph(self._network, self._kv, kind, self._record)
        self._graphs[kind] = graph
        if len(self._graphs) > MOST_GRAPHS:
            self._graphs.popitem(last=False)
        return graph

"""A fused network computed by forward.c: decode steps and prompts, each row with its own adapter.

Where large batches are wanted in bfloat16 they are left to torch; both use the same panels and the same KV.
"""

import ctypes
import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from chatbot.engine.adapter_files import LoraAdapter
from chatbot.engine.attention import Chunk, drawn_after
from chatbot.engine.compiled.panels import WAYS, PanelWeight
from chatbot.engine.compiled.structs import Layer, Network, Product, Site, Update
from chatbot.engine.compiled.weight_memory import WeightMemory
from chatbot.engine.formats import Weight
from chatbot.engine.fused_network import FusedNetwork
from chatbot.engine.kv import SlotKV
from chatbot.engine.large_batch import LargeBatchWeight
from chatbot.engine.lora_stack import Part
from chatbot.engine.norms import RMSNorm

CALL_TOKENS = 128
"""Most tokens of one call: more would hardly share the reading of weights better, and would not fit in the cache."""
PRODUCTS = ("qkv", "out", "gate_up", "down")


class NotCompilable(Exception):
    """A network that forward.c does not compute; the message says why."""


class CompiledForward:
    """The forward of one network over its KV. Used from one thread."""

    is_broken = False

    def __init__(self, network: FusedNetwork, library: ctypes.CDLL) -> None:
        """Describe a network without adapters to the library. Raises NotCompilable."""
        _check(network)
        self._most_tokens = _most_tokens(network)
        self._network = network
        self._struct = _network(network)
        self._library = library
        self._scratch = torch.empty(
            CALL_TOKENS * library.scratch_per_token(ctypes.byref(self._struct)), dtype=torch.float32
        )
        self._adapters: dict[str, AdapterSites] = {}

    @property
    def held(self) -> set[str]:
        """Digests of the adapters that were described to the library."""
        return set(self._adapters)

    def decode(self, chunks: Sequence[Chunk], adapters: Sequence[LoraAdapter | None]) -> torch.Tensor | None:
        """Return the logits `[tokens, vocabulary]` after each token, or None for a batch that is left to torch."""
        count = sum(len(chunk.tokens) for chunk in chunks)
        return self._compute(chunks, adapters, range(count)) if count <= self._most_tokens else None

    def prefill(self, chunks: Sequence[Chunk], adapter: LoraAdapter | None) -> torch.Tensor | None:
        """Return the logits `[wanted, vocabulary]` after chunks that want them, or None for a batch left to torch."""
        if sum(len(chunk.tokens) for chunk in chunks) > self._most_tokens:
            return None
        return self._compute(chunks, [adapter] * len(chunks), drawn_after(chunks))

    def release(self, keep: set[str]) -> None:
        """Forget what was made for adapters whose digests are not in `keep`."""
        self._adapters = {digest: sites for digest, sites in self._adapters.items() if digest in keep}

    def clear(self) -> None:
        """Forget what can be made again."""
        self.release(set())

    def _compute(
        self, chunks: Sequence[Chunk], adapters: Sequence[LoraAdapter | None], ends: Sequence[int]
    ) -> torch.Tensor:
        """Return the logits `[ends, vocabulary]`. Raises IndexError for a token that the model does not have."""
        assert all(chunk.tokens for chunk in chunks)
        tokens = array("q")
        for chunk, adapter in zip(chunks, adapters, strict=True):
            address = 0 if adapter is None else self._address(adapter)
            for position, token in enumerate(chunk.tokens, chunk.start):
                tokens.extend((token, position, chunk.slot, address))
        count, done = len(tokens) // 4, 0
        logits = torch.empty(len(ends), self._struct.vocabulary, dtype=torch.float32)
        address, row_bytes = logits.data_ptr(), logits.element_size() * self._struct.vocabulary
        for first in range(0, count, CALL_TOKENS):
            last = min(first + CALL_TOKENS, count)
            here = array("q", (end - first for end in ends[done:] if end < last))
            self._call(tokens[4 * first : 4 * last], here, address + done * row_bytes)
            done += len(here)
        return logits

    def _call(self, tokens: "array[int]", ends: "array[int]", logits: int) -> None:
        """Compute tokens, each four numbers, and write the logits after those at `ends`, which rise, to an address."""
        wrong = self._library.forward(
            self._struct,
            tokens.buffer_info()[0],
            len(tokens) // 4,
            ends.buffer_info()[0],
            len(ends),
            logits,
            self._scratch.data_ptr(),
            torch.get_num_threads(),
        )
        if wrong:
            token, position, slot, _ = tokens[4 * wrong - 4 : 4 * wrong]
            raise IndexError(
                f"token {token} at position {position} of slot {slot}: expected a token below "
                f"{self._struct.vocabulary}, a position below {self._struct.max_len}, a slot below {self._struct.slots}"
            )

    def _address(self, adapter: LoraAdapter) -> int:
        """Return where an adapter's sites are, described to the library when it is met for the first time."""
        if adapter.digest not in self._adapters:
            self._adapters[adapter.digest] = AdapterSites(self._network, adapter, self._library)
        return self._adapters[adapter.digest].address


class AdapterSites:
    """What an adapter does to each product of a network, as forward.c reads it."""

    def __init__(self, network: FusedNetwork, adapter: LoraAdapter, library: ctypes.CDLL) -> None:
        self._library = library
        self._memory = WeightMemory()
        self._weights: list[PanelWeight] = []
        """What the addresses point to."""
        names = [f"layers.{i}.{name}" for i in range(len(network.layers)) for name in PRODUCTS]
        sites = [self._site(network.sites[name], adapter) for name in (*names, "lm_head")]
        self._sites = (Site * len(sites))(*sites)
        self.address = ctypes.addressof(self._sites)

    def _site(self, parts: Iterable[Part], adapter: LoraAdapter) -> Site:
        updates = [self._update(part, adapter) for part in parts if part.name in adapter.pairs]
        return Site((Update * len(updates))(*updates), len(updates))

    def _update(self, part: Part, adapter: LoraAdapter) -> Update:
        down, up = adapter.pairs[part.name].down, part.up(adapter).T
        spare = -len(down) % WAYS  # ranks of zeros, as the second product can only have so many inputs
        weights = (F.pad(down, (0, 0, 0, spare)), F.pad(up, (0, spare)))
        self._weights += (panels := [PanelWeight(weight, None, self._library, self._memory) for weight in weights])
        return Update(*(each.product for each in panels), part.span.start or 0)


def _check(network: FusedNetwork) -> None:
    if not all(isinstance(_few(weight), PanelWeight) for weight in _weights(network)):
        raise NotCompilable("some of its weights are kept in another format")
    if network.kv.shape.head_dim % 8:
        raise NotCompilable("the size of its heads is not a multiple of eight")
    if _product(network.lm_head).outputs != len(network.embedding):
        raise NotCompilable("its head has not as many outputs as there are tokens")


def _most_tokens(network: FusedNetwork) -> float:
    """Return how many tokens are for the compiled code: any number, but where bfloat16 is wanted for larger batches."""
    firsts = [weight.first for weight in _weights(network) if isinstance(weight, LargeBatchWeight)]
    return min([math.inf, *(first - 1 for first in firsts)])


def _weights(network: FusedNetwork) -> list[Weight]:
    return [getattr(layer, name) for layer in network.layers for name in PRODUCTS] + [network.lm_head]


def _network(network: FusedNetwork) -> Network:
    shape, layers = network.kv.shape, network.layers
    return Network(
        (Layer * len(layers))(*(_layer(network.kv, i, layer) for i, layer in enumerate(layers))),
        _product(network.lm_head),
        network.embedding.data_ptr(),
        network.turns.data_ptr(),
        network.norm.weight.data_ptr(),
        len(layers),
        network.embedding.shape[1],
        network.heads,
        shape.kv_heads,
        shape.head_dim,
        _product(layers[0].down).inputs,
        shape.slots,
        shape.max_len,
        len(network.embedding),
        network.norm.epsilon,
        network.scale,
    )


def _layer(kv: SlotKV, index: int, layer: Any) -> Layer:
    return Layer(
        *(_product(getattr(layer, name)) for name in PRODUCTS),
        layer.norm.weight.data_ptr(),
        layer.mlp_norm.weight.data_ptr(),
        _norm_address(layer.query_norm),
        _norm_address(layer.key_norm),
        kv.keys[index].data_ptr(),
        kv.values[index].data_ptr(),
    )


def _norm_address(norm: RMSNorm | None) -> int | None:
    return None if norm is None else norm.weight.data_ptr()


def _product(weight: Weight) -> Product:
    panels = _few(weight)
    assert isinstance(panels, PanelWeight)
    return panels.product


def _few(weight: Weight) -> object:
    """Return the format of a weight that is used for few rows."""
    return weight.few if isinstance(weight, LargeBatchWeight) else weight

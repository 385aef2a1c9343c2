"""The ways of computing a model over KV slots, and which of them is taken."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog
import torch

from chatbot.engine.attention import Chunk, Plan
from chatbot.engine.base import ModelNotFound
from chatbot.engine.formats import Keep
from chatbot.engine.fused_network import FusedNetwork, NotFusable
from chatbot.engine.hf_network import HFNetwork
from chatbot.engine.kv import SlotKV
from chatbot.engine.lora import Tree
from chatbot.engine.lora_stack import Part
from chatbot.engine.probe import Probe

log = structlog.get_logger()


class Network(Protocol):
    """What computes: a transformers model by its own code, or its weights by ours."""

    kv_layout: str
    """How a head's numbers are arranged in the KV; networks of one layout can use each other's KV."""

    @property
    def sites(self) -> Mapping[str, tuple[Part, ...]]: ...

    @property
    def tree(self) -> Tree: ...

    def decode(self, chunks: Sequence[Chunk]) -> torch.Tensor: ...

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor: ...

    def compute(
        self, tokens: torch.Tensor, positions: torch.Tensor, plan: Plan, ends: torch.Tensor | None
    ) -> torch.Tensor: ...

    def twin(self, kv: SlotKV) -> "Network":
        """Return a network of the same weights over other KV, with nothing else in common that a forward changes."""


def choose_network(model: Any, kv: SlotKV, probe: Probe, keep: Keep | None, name: str) -> Network:
    """Return the fastest network that passes the probe; our own only where `keep` says how to keep weights.

    Raises ModelNotFound if not even the model's own code gives its logits over slots.
    """
    if keep and (fused := _fused(model, kv, probe, keep, name)):
        return fused
    network = HFNetwork(model, kv, has_fast_modules=True)
    if probe.problem(network.prefill, network.decode):
        network.restore()
        if problem := probe.problem(network.prefill, network.decode):
            raise ModelNotFound(f"{name}: this kind of model cannot run on KV slots: {problem}")
    return network


def _fused(model: Any, kv: SlotKV, probe: Probe, keep: Keep, name: str) -> FusedNetwork | None:
    try:
        network = FusedNetwork(model, kv, keep)
    except NotFusable as reason:
        log.info("model.not_fused", model=name, reason=str(reason))
        return None
    if problem := probe.problem(network.prefill, network.decode):
        log.warning("model.not_fused", model=name, reason=problem)
        return None
    return network

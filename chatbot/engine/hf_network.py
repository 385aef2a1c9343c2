"""A transformers model over KV slots: its own code, with a registered attention and faster linears and norms.

Public extension points only: `AttentionInterface` and `use_cache=False`.
"""

import copy
from collections.abc import Mapping, Sequence
from itertools import chain

import torch

from chatbot.engine import attention
from chatbot.engine.attention import Chunk, Plan, PrefillPlan, drawn_after
from chatbot.engine.decode_plan import DecodePlan
from chatbot.engine.kv import SlotKV
from chatbot.engine.lora_stack import Part
from chatbot.engine.norms import replace_norms
from chatbot.engine.packed import PackedLinear, pack_linears


class HFNetwork:
    """Any causal LM whose attention goes through the interface; `model` is switched to it for good."""

    kv_layout = "plain"
    sites: Mapping[str, tuple[Part, ...]] = {}
    """Each linear of the model is a site of its own."""

    def __init__(self, model: torch.nn.Module, kv: SlotKV, *, has_fast_modules: bool) -> None:
        """Take over a model; with `has_fast_modules` its linears and norms are replaced where that is exact."""
        self.model = model
        self._kv = kv
        model.set_attn_implementation(attention.NAME)  # type: ignore[operator]
        self._originals = pack_linears(model) | replace_norms(model) if has_fast_modules else {}

    def restore(self) -> None:
        """Give the model its own linears and norms back."""
        for name, module in self._originals.items():
            self.model.set_submodule(name, module)
        self._originals = {}

    def twin(self, kv: SlotKV) -> "HFNetwork":
        """Return a network of the same weights over other KV, with modules of its own for adapters to be put in."""
        network = copy.copy(self)
        packed = (module.packed for module in self.model.modules() if isinstance(module, PackedLinear))
        shared = {id(weight): weight for weight in chain(self.model.parameters(), packed)}  # buffers may be written
        network.model = copy.deepcopy(self.model, shared)
        network._kv, network._originals = kv, {}
        return network

    @property
    def tree(self) -> torch.nn.Module:
        """Where the sites are found."""
        return self.model

    def decode(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Return the logits `[tokens, vocabulary]` after each new token, few per chunk."""
        return self.compute(*self._inputs(chunks), DecodePlan(self._kv, chunks), None)

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Return the logits `[wanted, vocabulary]` of the last token of each chunk that wants them."""
        ends = torch.tensor(drawn_after(chunks), dtype=torch.long, device=self._kv.keys.device)
        return self.compute(*self._inputs(chunks), PrefillPlan(self._kv, chunks), ends)

    def compute(
        self, tokens: torch.Tensor, positions: torch.Tensor, plan: Plan, ends: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the logits `[ends, vocabulary]` after these of the tokens, or after all of them."""
        output = self.model(
            input_ids=tokens[None],
            position_ids=positions[None],
            use_cache=False,
            logits_to_keep=0 if ends is None else ends,
            slots=plan,
        )
        logits: torch.Tensor = output.logits[0]
        return logits

    def _inputs(self, chunks: Sequence[Chunk]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all new tokens side by side, and their positions."""
        device = self._kv.keys.device
        tokens = torch.tensor([token for chunk in chunks for token in chunk.tokens], device=device)
        return tokens, torch.tensor([i for chunk in chunks for i in range(chunk.start, chunk.end)], device=device)

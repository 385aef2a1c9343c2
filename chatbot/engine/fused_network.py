"""Llama, Mistral, Qwen2 and Qwen3 weights as plain tensor code: few large products and little Python for each layer.

A small model on a CPU spends its time in module calls, not in arithmetic: here a layer is some twenty tensor calls.
Queries, keys and values come from one product, gate and up from another. Within each head the two halves that rotary
embedding turns together are interleaved (by permuting weight rows), so that turning is one complex product; queries
and keys are permuted alike, which leaves their dot products as they are.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from chatbot.engine.attention import Chunk, Plan, PrefillPlan, drawn_after
from chatbot.engine.decode_plan import DecodePlan
from chatbot.engine.formats import Keep, Weight, kept
from chatbot.engine.kv import SlotKV
from chatbot.engine.lora_stack import Part
from chatbot.engine.norms import RMSNorm, rms_norm

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
FIXED_ROPES = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary embedding whose angles depend on the position alone."""


class NotFusable(Exception):
    """A model that this code does not compute; the message says why."""


class FusedLayer:
    """One layer: its four products and its norms. Products may be wrapped by adapters."""

    __slots__ = ("down", "gate_up", "key_norm", "mlp_norm", "norm", "out", "qkv", "query_norm")

    def __init__(self, layer: Any, order: torch.Tensor, epsilon: float, keep: Keep) -> None:
        """Take over the weights of a transformers layer; `order` is the permutation within a head `[head_dim]`."""
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv: Weight = _joined(keep, [attention.q_proj, attention.k_proj, attention.v_proj], [order, order, None])
        self.out: Weight = _joined(keep, [attention.o_proj])
        self.gate_up: Weight = _joined(keep, [mlp.gate_proj, mlp.up_proj])
        self.down: Weight = _joined(keep, [mlp.down_proj])
        self.norm = rms_norm(layer.input_layernorm.weight, epsilon)
        self.mlp_norm = rms_norm(layer.post_attention_layernorm.weight, epsilon)
        self.query_norm, self.key_norm = (
            _head_norm(getattr(attention, name, None), order, epsilon) for name in ("q_norm", "k_norm")
        )


class FusedNetwork:
    """The whole network in float32 over KV slots."""

    kv_layout = "interleaved"

    def __init__(self, model: Any, kv: SlotKV, keep: Keep = kept) -> None:  # transformers is untyped
        """Take over the weights of a transformers model, each in the format that `keep` makes. Raises NotFusable."""
        _check(model, kv)
        config, core = model.config, model.model
        self.kv = kv
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._dim = kv.shape.head_dim
        order = torch.arange(self._dim).view(2, -1).T.reshape(-1)
        self.embedding = core.embed_tokens.weight
        self.turns = _turns(core.rotary_emb, kv)
        self.scale = float(core.layers[0].self_attn.scaling)
        self.norm = rms_norm(core.norm.weight, config.rms_norm_eps)
        self.layers = [FusedLayer(layer, order, config.rms_norm_eps, keep) for layer in core.layers]
        self.lm_head: Weight = _joined(keep, [model.lm_head])
        self.sites: Mapping[str, tuple[Part, ...]] = _sites(model, order, self._dim)

    @property
    def tree(self) -> "FusedNetwork":
        """Where the sites are found."""
        return self

    def get_submodule(self, target: str) -> Any:
        """Return the layer of a dotted name such as `layers.3`, or the network itself for an empty one."""
        return self.layers[int(target.removeprefix("layers."))] if target else self

    def twin(self, kv: SlotKV) -> "FusedNetwork":
        """Return a network of the same weights over other KV of the same kind, to which adapters are added apart."""
        network = copy.copy(self)
        network.kv = kv
        network.layers = [copy.copy(layer) for layer in self.layers]
        return network

    def decode(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Return the logits `[tokens, vocabulary]` after each new token, few per chunk."""
        plan = DecodePlan(self.kv, chunks)
        tokens, positions = self._inputs(chunks)
        x, turns = F.embedding(tokens, self.embedding), self.turns[positions]
        grouped = (len(x) * self.kv_heads, -1, self._dim)
        for index, layer in enumerate(self.layers):
            query, key, value = self._projected(layer, x, turns)
            flat = (-1, self._dim)
            layer.out.add_to(
                x,
                plan.attend_heads(index, query.reshape(grouped), key.reshape(flat), value.reshape(flat), self.scale),
            )
            _feed_forward(layer, x)
        return self.lm_head(self.norm(x))

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Return the logits `[wanted, vocabulary]` of the last token of each chunk that wants them."""
        return self.compute(*self._inputs(chunks), PrefillPlan(self.kv, chunks), self._ids(drawn_after(chunks)))

    def compute(
        self, tokens: torch.Tensor, positions: torch.Tensor, plan: Plan, ends: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the logits `[ends, vocabulary]` after these of the tokens, or after all of them."""
        x, turns = F.embedding(tokens, self.embedding), self.turns[positions]
        for index, layer in enumerate(self.layers):
            query, key, value = (part.transpose(0, 1)[None] for part in self._projected(layer, x, turns))
            output = plan.attend(index, query, key, value, self.scale, None)
            layer.out.add_to(x, output.reshape(len(x), -1))
            _feed_forward(layer, x)
        return self.lm_head(self.norm(x if ends is None else x[ends]))

    def _inputs(self, chunks: Sequence[Chunk]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all new tokens side by side, and their positions."""
        tokens = self._ids([token for chunk in chunks for token in chunk.tokens])
        return tokens, self._ids([i for chunk in chunks for i in range(chunk.start, chunk.end)])

    def _projected(
        self, layer: FusedLayer, x: torch.Tensor, turns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys (both turned to their positions) and values `[tokens, heads, dim]`."""
        heads = layer.qkv(layer.norm(x)).view(len(x), -1, self._dim)
        turned = heads[:, : self.heads + self.kv_heads]
        if layer.query_norm is not None and layer.key_norm is not None:
            turned[:, : self.heads] = layer.query_norm(turned[:, : self.heads])
            turned[:, self.heads :] = layer.key_norm(turned[:, self.heads :])
        torch.view_as_complex(turned.unflatten(-1, (-1, 2))).mul_(turns)  # type: ignore[no-untyped-call]
        return turned[:, : self.heads], turned[:, self.heads :], heads[:, self.heads + self.kv_heads :]

    def _ids(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=self.embedding.device)


def _feed_forward(layer: FusedLayer, x: torch.Tensor) -> None:
    gate, up = layer.gate_up(layer.mlp_norm(x)).chunk(2, dim=-1)
    layer.down.add_to(x, F.silu(gate).mul_(up))


def _joined(keep: Keep, linears: Sequence[nn.Linear], orders: Sequence[torch.Tensor | None] = ()) -> Weight:
    """Return several linears as one, the rows within their heads put in the orders given."""
    orders = orders or [None] * len(linears)
    rows = [_ordered(linear.weight, order) for linear, order in zip(linears, orders, strict=True)]
    biases = [
        _ordered(linear.bias if linear.bias is not None else linear.weight.new_zeros(linear.out_features), order)
        for linear, order in zip(linears, orders, strict=True)
    ]
    has_bias = any(linear.bias is not None for linear in linears)
    weight = rows[0] if len(rows) == 1 else torch.cat(rows)
    return keep(weight.detach(), torch.cat(biases).detach() if has_bias else None)


def _ordered(rows: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    return rows if order is None else rows[_in_heads(len(rows), order)]


def _in_heads(rows: int, order: torch.Tensor) -> torch.Tensor:
    """Return the order of `rows` rows when those of each head stand in the order of a head."""
    return (torch.arange(0, rows, len(order))[:, None] + order).reshape(-1)


def _head_norm(norm: Any, order: torch.Tensor, epsilon: float) -> RMSNorm | None:
    return None if norm is None else rms_norm(norm.weight[order], epsilon)


def _turns(rotary: Any, kv: SlotKV) -> torch.Tensor:
    """Return for each position the complex numbers that turn a head `[max_len, 1, head_dim / 2]`."""
    positions = torch.arange(kv.shape.max_len, device=kv.keys.device)[None]
    cos, sin = rotary(kv.keys.new_zeros(1), positions)
    half = kv.shape.head_dim // 2
    return torch.complex(cos[0, :, :half].float(), sin[0, :, :half].float())[:, None]


def _sites(model: Any, order: torch.Tensor, dim: int) -> dict[str, tuple[Part, ...]]:
    """Return which linears of the model are in which product, by the product's name."""
    sites: dict[str, tuple[Part, ...]] = {"lm_head": (Part("lm_head"),)}
    for index, layer in enumerate(model.model.layers):
        names = f"model.layers.{index}."
        inverse = order.argsort()
        first, parts = 0, []
        for name, permutation in (("q_proj", inverse), ("k_proj", inverse), ("v_proj", torch.arange(dim))):
            count = getattr(layer.self_attn, name).out_features
            parts.append(Part(f"{names}self_attn.{name}", first + _in_heads(count, permutation)))
            first += count
        sites[f"layers.{index}.qkv"] = tuple(parts)
        sites[f"layers.{index}.out"] = (Part(f"{names}self_attn.o_proj"),)
        sizes = layer.mlp.gate_proj.out_features
        sites[f"layers.{index}.gate_up"] = (
            Part(f"{names}mlp.gate_proj", torch.arange(sizes)),
            Part(f"{names}mlp.up_proj", torch.arange(sizes, 2 * sizes)),
        )
        sites[f"layers.{index}.down"] = (Part(f"{names}mlp.down_proj"),)
    return sites


def _check(model: Any, kv: SlotKV) -> None:
    """Raise NotFusable for all that is known to be computed otherwise; the rest shows in the logits."""
    if type(model).__name__ not in ARCHITECTURES:
        raise NotFusable(f"{type(model).__name__} is not one of {', '.join(ARCHITECTURES)}")
    problems = (
        (kv.keys.dtype != torch.float32, f"it runs in {kv.keys.dtype}, not in float32"),
        (model.model.rotary_emb.rope_type not in FIXED_ROPES, "its rotary embedding changes with the length"),
        (model.config.hidden_act != "silu", f"its activation is {model.config.hidden_act}, not silu"),
        (_has_window(model.config), "it attends to a sliding window"),
    )
    for is_so, reason in problems:
        if is_so:
            raise NotFusable(reason)


def _has_window(config: Any) -> bool:
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    return "sliding_attention" in kinds if kinds else window is not None and getattr(config, "use_sliding_window", True)

"""Reads a LoRA adapter folder without trusting it.

Exactly two files count, adapter_config.json and adapter_model.safetensors, and base.json if it is there; anything else
in the folder is never opened. Nothing is imported, unpickled or fetched because of what a file says. Files are read
once into memory, so that the digest, the checks and the tensors are about the same bytes.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from chatbot.engine.adapter_config import MAX_CONFIG_BYTES, MERGE_IT, PlainLora, check_config, parse_object, read_plain
from chatbot.engine.base import AdapterRejected
from chatbot.engine.digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_digest

BASE_FILE = "base.json"
MAX_WEIGHTS_BYTES = 4 << 30
TENSOR_NAME = re.compile(r"base_model\.model\.(?P<module>[\w.]+)\.lora_(?P<side>[AB])\.weight")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The low-rank update of one linear: `y += (x @ down.T) @ up.T`."""

    down: torch.Tensor
    """`[rank, in_features]`, PEFT's A."""
    up: torch.Tensor
    """`[out_features, rank]`, PEFT's B times the adapter's scaling."""


@dataclass(frozen=True, slots=True, eq=False)
class LoraAdapter:
    """A checked adapter."""

    digest: str
    rank: int
    pairs: dict[str, LoraPair]
    """By the name of the linear in the base model."""


def linear_sizes(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Return `(in_features, out_features)` of each linear of a base, which is what an adapter may change, by name."""
    return {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }


def read_adapter(
    folder: Path,
    linears: dict[str, tuple[int, int]],
    *,
    base_digest: str | None,
    dtype: torch.dtype,
    device: torch.device,
) -> LoraAdapter:
    """Return the adapter in `folder` for a base with these linears, by name `(in_features, out_features)`.

    base_digest: of that base, if an adapter that names another one is to be refused.

    Raises AdapterRejected, which names the file and what is wrong with it.
    """
    config_bytes = read_plain(folder / ADAPTER_CONFIG, MAX_CONFIG_BYTES)
    weights_bytes = read_plain(folder / ADAPTER_WEIGHTS, MAX_WEIGHTS_BYTES)
    config = parse_object(folder / ADAPTER_CONFIG, config_bytes)
    plain = check_config(folder / ADAPTER_CONFIG, config)
    if base_digest is not None:
        _check_base(folder, config, base_digest)
    raw = _read_tensors(folder / ADAPTER_WEIGHTS, weights_bytes)
    pairs = _pair_up(folder / ADAPTER_WEIGHTS, raw, linears, plain)
    ready = {
        name: LoraPair(down.to(device, dtype), (up.float() * plain.scaling).to(device, dtype))
        for name, (down, up) in pairs.items()
    }
    for name, pair in ready.items():
        if not (pair.down.isfinite().all() and pair.up.isfinite().all()):
            raise AdapterRejected(f"{folder / ADAPTER_WEIGHTS}: {name!r} has values too large for {dtype}, once scaled")
    return LoraAdapter(adapter_digest(config_bytes, weights_bytes), plain.rank, ready)


def _check_base(folder: Path, config: dict[str, Any], base_digest: str) -> None:
    """Reject an adapter that says it was trained on other weights; one that says nothing may pass."""
    claims = {ADAPTER_CONFIG: config.get("base_digest")}
    if (path := folder / BASE_FILE).exists():
        claims[BASE_FILE] = parse_object(path, read_plain(path, MAX_CONFIG_BYTES)).get("digest")
    for file, claimed in claims.items():
        if claimed is not None and claimed != base_digest:
            raise AdapterRejected(
                f"{folder / file}: trained on base {str(claimed)[:12]}, but the engine serves {base_digest[:12]}"
            )


def _read_tensors(path: Path, data: bytes) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise AdapterRejected(f"{path}: not a safetensors file: {error}") from error
    return tensors


def _pair_up(
    path: Path,
    raw: dict[str, torch.Tensor],
    linears: dict[str, tuple[int, int]],
    plain: PlainLora,
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return A and B by module; every tensor must belong to a targeted linear of the base, fit it and be finite."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in raw.items():
        match = TENSOR_NAME.fullmatch(name)
        if match is None or not _is_target(match["module"], plain.targets):
            raise AdapterRejected(f"{path}: unexpected tensor {name!r}; {MERGE_IT}")
        if match["module"] not in linears:
            raise AdapterRejected(f"{path}: the base has no linear {match['module']!r}")
        inputs, outputs = linears[match["module"]]
        _check_tensor(path, name, tensor, (plain.rank, inputs) if match["side"] == "A" else (outputs, plain.rank))
        found.setdefault(match["module"], {})[match["side"]] = tensor
    for module, sides in found.items():
        if len(sides) != 2:
            raise AdapterRejected(f"{path}: {module!r} has lora_{'/'.join(sides)} but not its counterpart")
    if not found:
        raise AdapterRejected(f"{path}: no LoRA tensors in it")
    return {module: (sides["A"], sides["B"]) for module, sides in found.items()}


def _is_target(module: str, targets: tuple[str, ...] | None) -> bool:
    return targets is None or any(module == name or module.endswith("." + name) for name in targets)


def _check_tensor(path: Path, name: str, tensor: torch.Tensor, shape: tuple[int, int]) -> None:
    if tuple(tensor.shape) != shape:
        raise AdapterRejected(f"{path}: {name!r} has shape {tuple(tensor.shape)}; expected {shape}")
    if tensor.dtype not in DTYPES:
        raise AdapterRejected(f"{path}: {name!r} is {tensor.dtype}; expected one of {DTYPES}")
    if not torch.isfinite(tensor).all():
        raise AdapterRejected(f"{path}: {name!r} has values that are not finite")

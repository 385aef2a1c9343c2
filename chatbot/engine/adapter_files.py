"""Reads a LoRA adapter folder without trusting it.

Exactly two files count, adapter_config.json and adapter_model.safetensors, and base.json if it is there; anything else
in the folder is never opened. Nothing is imported, unpickled or fetched because of what a file says. Files are read
once into memory, so that the digest, the checks and the tensors are about the same bytes.
"""

import json
import math
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from chatbot.engine.base import AdapterRejected
from chatbot.engine.digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_digest

BASE_FILE = "base.json"
MAX_CONFIG_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 4 << 30
MAX_RANK = 1024
MAX_ALPHA = 1e6
TENSOR_NAME = re.compile(r"base_model\.model\.(?P<module>[\w.]+)\.lora_(?P<side>[AB])\.weight")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)

CHECKED_KEYS = frozenset(
    {"peft_type", "r", "lora_alpha", "target_modules", "bias", "task_type", "use_rslora", "init_lora_weights"}
)
IGNORED_KEYS = frozenset(
    {
        "auto_mapping",  # PEFT's name for a base of no known task; nothing is imported for it
        "base_model_name_or_path",  # a label; which base it is says base.json
        "base_digest",
        "exclude_modules",  # the tensors say which modules there are
        "inference_mode",
        "layers_pattern",  # the tensors say which layers, too
        "layers_to_transform",
        "lora_dropout",  # training only
        "megatron_core",  # means nothing without megatron_config
        "peft_version",
        "qalora_group_size",  # means nothing without use_qalora
        "revision",
    }
)
NEUTRAL: tuple[object, ...] = (None, False, {}, [])
PLAIN_INITS = (None, True, False, "gaussian", "orthogonal")
"""Initialisations that leave the base weights alone; PiSSA, LoftQ and their like need a changed base."""
MERGE_IT = (
    "only plain LoRA of linears is served (merge it into its base with PEFT's merge_and_unload(), save model and "
    "tokenizer to one folder, then serve that as --model)"
)


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
    config_bytes = _read(folder / ADAPTER_CONFIG, MAX_CONFIG_BYTES)
    weights_bytes = _read(folder / ADAPTER_WEIGHTS, MAX_WEIGHTS_BYTES)
    config = _parse_object(folder / ADAPTER_CONFIG, config_bytes)
    rank, scaling, targets = _check_config(folder / ADAPTER_CONFIG, config)
    if base_digest is not None:
        _check_base(folder, config, base_digest)
    raw = _read_tensors(folder / ADAPTER_WEIGHTS, weights_bytes)
    pairs = _pair_up(folder / ADAPTER_WEIGHTS, raw, linears, targets, rank)
    ready = {
        name: LoraPair(down.to(device, dtype), (up.float() * scaling).to(device, dtype))
        for name, (down, up) in pairs.items()
    }
    for name, pair in ready.items():
        if not (pair.down.isfinite().all() and pair.up.isfinite().all()):
            raise AdapterRejected(f"{folder / ADAPTER_WEIGHTS}: {name!r} has values too large for {dtype}, once scaled")
    return LoraAdapter(adapter_digest(config_bytes, weights_bytes), rank, ready)


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise AdapterRejected(f"{path}: expected a plain file, not a link, folder or device")
        if status.st_size > limit_bytes:
            raise AdapterRejected(f"{path}: {status.st_size} bytes; at most {limit_bytes} are read")
        return path.read_bytes()
    except OSError as error:
        raise AdapterRejected(f"{path}: cannot be read: {error.strerror or error}") from error


def _parse_object(path: Path, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdapterRejected(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise AdapterRejected(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def _check_config(path: Path, config: dict[str, Any]) -> tuple[int, float, tuple[str, ...] | None]:
    """Return rank, scaling and target modules (None for any linear) of a config that only says plain LoRA."""
    for key, value in config.items():
        if key not in CHECKED_KEYS | IGNORED_KEYS and value not in NEUTRAL:
            raise AdapterRejected(f"{path}: {key} = {value!r} is not supported; {MERGE_IT}")
    if config.get("bias") not in (None, "none"):
        raise AdapterRejected(f"{path}: bias = {config['bias']!r} is not supported; {MERGE_IT}")
    _expect(path, config, "peft_type", ("LORA",))
    _expect(path, config, "task_type", (None, "CAUSAL_LM"))
    _expect(path, config, "use_rslora", (None, False, True))
    _expect(path, config, "init_lora_weights", PLAIN_INITS)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise AdapterRejected(f"{path}: r = {rank!r}; expected an integer from 1 to {MAX_RANK}")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha <= MAX_ALPHA:
        raise AdapterRejected(f"{path}: lora_alpha = {alpha!r}; expected a positive number, at most {MAX_ALPHA:g}")
    scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return rank, scaling, _check_targets(path, config.get("target_modules"))


def _expect(path: Path, config: dict[str, Any], key: str, allowed: tuple[object, ...]) -> None:
    value = config.get(key)
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in allowed):
        raise AdapterRejected(f"{path}: {key} = {value!r}; expected one of {allowed}")


def _check_targets(path: Path, targets: object) -> tuple[str, ...] | None:
    """Return the modules that a list names; None for a text, be it "all-linear" or a pattern, which is not run."""
    if isinstance(targets, str) and targets:
        return None
    if isinstance(targets, list) and targets and all(isinstance(name, str) and name for name in targets):
        return tuple(targets)
    raise AdapterRejected(f'{path}: target_modules = {targets!r}; expected a list of names, a pattern or "all-linear"')


def _check_base(folder: Path, config: dict[str, Any], base_digest: str) -> None:
    """Reject an adapter that says it was trained on other weights; one that says nothing may pass."""
    claims = {ADAPTER_CONFIG: config.get("base_digest")}
    if (path := folder / BASE_FILE).exists():
        claims[BASE_FILE] = _parse_object(path, _read(path, MAX_CONFIG_BYTES)).get("digest")
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
    targets: tuple[str, ...] | None,
    rank: int,
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return A and B by module; every tensor must belong to a targeted linear of the base, fit it and be finite."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in raw.items():
        match = TENSOR_NAME.fullmatch(name)
        if match is None or not _is_target(match["module"], targets):
            raise AdapterRejected(f"{path}: unexpected tensor {name!r}; {MERGE_IT}")
        if match["module"] not in linears:
            raise AdapterRejected(f"{path}: the base has no linear {match['module']!r}")
        inputs, outputs = linears[match["module"]]
        _check_tensor(path, name, tensor, (rank, inputs) if match["side"] == "A" else (outputs, rank))
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

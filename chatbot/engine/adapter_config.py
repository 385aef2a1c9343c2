"""What the config of an adapter may say: plain LoRA of linears, and nothing that would be passed over. Pure."""

import json
import math
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatbot.engine.base import AdapterRejected

MAX_CONFIG_BYTES = 1 << 20
MAX_RANK = 1024
MAX_ALPHA = 1e6
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
class PlainLora:
    """What a config says that was found to be served."""

    rank: int
    alpha: float
    scaling: float
    targets: tuple[str, ...] | None
    """Modules that are changed; None for any linear."""


def read_plain(path: Path, limit_bytes: int) -> bytes:
    """Return what a plain file holds. Raises AdapterRejected for anything else, and for one that is larger."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise AdapterRejected(f"{path}: expected a plain file, not a link, folder or device")
        if status.st_size > limit_bytes:
            raise AdapterRejected(f"{path}: {status.st_size} bytes; at most {limit_bytes} are read")
        return path.read_bytes()
    except OSError as error:
        raise AdapterRejected(f"{path}: cannot be read: {error.strerror or error}") from error


def parse_object(path: Path, text: bytes) -> dict[str, Any]:
    """Return the JSON object that a file holds. Raises AdapterRejected."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdapterRejected(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise AdapterRejected(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def check_config(path: Path, config: dict[str, Any]) -> PlainLora:
    """Return what a config says. Raises AdapterRejected if it says anything but plain LoRA."""
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
    return PlainLora(rank, alpha, scaling, _check_targets(path, config.get("target_modules")))


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

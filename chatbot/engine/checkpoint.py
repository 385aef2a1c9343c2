"""Finds the directory of a model, local or from the Hugging Face cache, and says what is missing in it.

Only configuration, tokenizer and safetensors files are ever asked for: no Python code and no pickle.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from chatbot.engine.base import BaseModel, ModelNotFound
from chatbot.engine.digest import SECOND_COPY, model_digest

WANTED_FILES = ("*.json", "*.jinja", "*.safetensors", "*.model", "*.txt")
UNWANTED_FILES = ("*/*", SECOND_COPY)
"""The same weights again, in other formats, which many repositories have in folders of their own."""
MOST_CONTEXT_TOKENS = 8192
"""Context by default even where the model has more: KV memory grows with it."""
LENGTH_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
FIRST_LENGTH_KEY = "original_max_position_embeddings"
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
EXPECTED = "a Hugging Face causal LM: config.json, tokenizer.json and *.safetensors"
ADVICE = "try: chatbot --model bundled, a directory that holds one, or a hub name such as Qwen/Qwen3-0.6B"


def locate(model: str | Path) -> Path:
    """Return the directory of a model, fetching it from the hub if `model` is no directory but a hub name.

    Raises ModelNotFound, which says what was expected and where. HF_HUB_OFFLINE is honoured.
    """
    folder = Path(os.path.expanduser(model))  # which leaves a user that is none as it is written
    if not folder.is_dir():
        if isinstance(model, Path) or folder.is_absolute() or not HUB_NAME.fullmatch(model) or folder.exists():
            raise ModelNotFound(f"{folder}: no such directory; expected {EXPECTED}. {ADVICE}")
        folder = _fetch(model)
    _check(folder)
    return folder


def describe(folder: Path, name: str, context_tokens: int | None = None) -> BaseModel:
    """Return what is known of a model before it is loaded; large weights take a while to hash.

    The context is `context_tokens`, or MOST_CONTEXT_TOKENS, but no more than the model can see.
    """
    context = min(context_tokens or MOST_CONTEXT_TOKENS, read_context_tokens(folder))
    return BaseModel(name, model_digest(folder), context)


def read_context_tokens(folder: Path) -> int:
    """Return how many tokens the model's configuration says it can see at once.

    A "longrope" model turns all its positions otherwise once a prompt is longer than it was first trained for, which
    neither KV made before nor a neighbour in the batch may do: it gets that first length.
    """
    path = folder / "config.json"
    config = _read_object(path)
    config = _object(path, config, "text_config") or config
    tokens = _length(path, config)
    rope = _object(path, config, "rope_parameters") or _object(path, config, "rope_scaling")
    if rope.get("rope_type", rope.get("type")) != "longrope":
        return tokens
    first = rope.get(FIRST_LENGTH_KEY) or config.get(FIRST_LENGTH_KEY)
    return tokens if first is None else min(tokens, _positive(path, FIRST_LENGTH_KEY, first))


def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[*WANTED_FILES], ignore_patterns=[*UNWANTED_FILES]))
    except Exception as error:  # whatever comes of a network, and of who answers in another's place
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelNotFound(
            f"{name}: neither a directory nor a model that could be fetched ({reason}). "
            f"Where a download was interrupted, the same command goes on with it. {ADVICE}"
        ) from error


def _check(folder: Path) -> None:
    """Raise ModelNotFound if the directory lacks a file that every model needs or has a broken config."""
    for pattern in ("config.json", "tokenizer*.json", "*.safetensors"):
        if not any(folder.glob(pattern)):
            raise ModelNotFound(f"{folder}: {pattern} is missing; expected {EXPECTED}. {ADVICE}")
    if "model_type" not in _read_object(folder / "config.json"):
        raise ModelNotFound(f"{folder / 'config.json'}: expected an object with model_type")
    if (path := folder / "tokenizer_config.json").exists():
        _read_object(path)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelNotFound(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelNotFound(f"{path}: expected an object, got {type(value).__name__}")
    return value


def _object(path: Path, config: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a part of a configuration, empty if there is none."""
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise ModelNotFound(f"{path}: {key} = {value!r}; expected an object")
    return value


def _length(path: Path, config: dict[str, Any]) -> int:
    """Return how many positions a configuration tells of, under the name that its kind of model has for them."""
    for key in LENGTH_KEYS:
        if (tokens := config.get(key)) is not None:
            return _positive(path, key, tokens)
    raise ModelNotFound(f"{path}: the model's context is missing; expected one of {', '.join(LENGTH_KEYS)}")


def _positive(path: Path, key: str, value: object) -> int:
    if type(value) is not int or value < 1:
        raise ModelNotFound(f"{path}: {key} = {value!r}; expected a positive integer")
    return value

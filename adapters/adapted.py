"""The base model with a LoRA adapter, fresh on all its linears but the head or gone on from, and how that is written.

What is written depends on base, data, settings and seed alone: no local path, no order of a set.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from adapters.errors import BadSettings, CannotTrain
from adapters.loaded import loaded
from adapters.named_modules import config_by_names
from adapters.plan import BaseFacts, Plan
from adapters.rank import fill
from adapters.start import Start
from chatbot.engine.adapter_files import DTYPES, linear_sizes, read_adapter
from chatbot.engine.base import AdapterRejected, ModelNotFound
from chatbot.engine.checkpoint import read_context_tokens
from chatbot.engine.digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS, model_digest
from chatbot.engine.machine import avoid_planned_attention

HIDDEN_KEYS = ("hidden_size", "n_embd", "d_model")
"""What kinds of models call the width of their layers."""
STORED = tuple(str(dtype).removeprefix("torch.") for dtype in DTYPES)
"""Types of weights, as a config calls them, that an adapter can have; on a base of another, such as float8, float32."""


def base_facts(base: Path, name: str | None = None) -> BaseFacts:
    """Return what is to know about a base without loading its weights; its name is by default its folder's.

    Raises CannotTrain.
    """
    try:
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
        text = config.get("text_config") or config
        hidden = int(next(text[key] for key in HIDDEN_KEYS if key in text))
        context = read_context_tokens(base)
        stored = str(text.get("dtype") or text.get("torch_dtype"))
    except OSError as error:
        raise CannotTrain(
            f"{base}: no model there: {error.strerror or error} (give --base a model directory)"
        ) from error
    except ModelNotFound as error:
        raise CannotTrain(str(error)) from error
    except (ValueError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        raise CannotTrain(
            f"{base / 'config.json'}: no config of a causal LM with one of {', '.join(HIDDEN_KEYS)}: {error!r}"
        ) from error
    known = stored if stored in STORED else "float32"
    return BaseFacts(name or _base_name(base), model_digest(base), hidden, context, known)


def adapted_model(base: Path, plan: Plan, start: Start | None = None) -> Any:  # peft is untyped
    """Return the base where and as it is trained, with an adapter that changes nothing yet, or with that of `start`.

    Raises CannotLoad, CannotTrain if no adapter of it could be served, or BadSettings if that of `start` does not fit.
    """
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    model = loaded(base, dtype)
    _require_linears(base, model)
    avoid_planned_attention(torch.device(device))
    model.to(device)  # before the probe, which measures what a step costs there
    model.config.use_cache = False
    torch.manual_seed(plan.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls what transformers has deprecated
        return _gone_on_from(start, plan, model) if start else _fresh(plan, model)


def _require_linears(base: Path, model: Any) -> None:
    """Raise CannotTrain for a model that has none but its head, as those of GPT-2's kind."""
    head = model.get_output_embeddings()
    if not any(isinstance(module, torch.nn.Linear) and module is not head for module in model.modules()):
        raise CannotTrain(
            f"{base}: the layers of {type(model).__name__} are no torch.nn.Linear, and adapters of others are not "
            "served (choose another base, such as one of Llama's, Mistral's or Qwen's kind)"
        )


def _fresh(plan: Plan, model: Any, targets: str | list[str] = "all-linear") -> Any:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=plan.rank, lora_alpha=plan.alpha, target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(model, settings)


def _gone_on_from(start: Start, plan: Plan, model: Any) -> Any:
    """Add an adapter that the engine takes, too: peft trains others, and says nothing of tensors it has no use for."""
    from peft import PeftModel

    try:
        adapter = read_adapter(
            start.path, linear_sizes(model), base_digest=None, dtype=torch.float32, device=torch.device("cpu")
        )
    except AdapterRejected as error:
        raise BadSettings(f"--from {start.name} does not fit the base: {error}") from error
    if plan.rank == start.rank:
        return PeftModel.from_pretrained(model, start.path, is_trainable=True, config=config_by_names(start.path))
    adapted = _fresh(plan, model, sorted(adapter.pairs))
    fill(adapted, adapter.pairs)
    return adapted


def save_adapter(model: Any, folder: Path, base: BaseFacts) -> None:
    """Write adapter_config.json and adapter_model.safetensors, in the precision of the base's own weights.

    Raises CannotTrain if a weight is not a number in it, for no server would take that.
    """
    from peft import get_peft_model_state_dict

    config = {key: _plain(value) for key, value in model.peft_config["default"].to_dict().items()}
    config |= {"base_model_name_or_path": base.name, "inference_mode": True}
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG).write_text(text + "\n", encoding="utf-8")
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {
        name: tensor.detach().to("cpu", getattr(torch, base.stored)).contiguous() for name, tensor in state.items()
    }
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise CannotTrain(
            f"the weights grew too large for {base.stored}, and nothing was published (give a lower --lr)"
        )
    (folder / ADAPTER_WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))


def _plain(value: Any) -> Any:  # what peft's config holds
    """Return a value as JSON has it, sets in a fixed order and enums as their text."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    return getattr(value, "value", value)


def _base_name(base: Path) -> str:
    """Return the folder's name; for a hub snapshot, the repository's."""
    resolved = base.resolve()
    if resolved.parent.name == "snapshots":
        return resolved.parent.parent.name.removeprefix("models--").replace("--", "/")
    return resolved.name

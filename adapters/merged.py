"""A persona as a model of its own: the base with the adapter's update added to its weights.

For programs that load a model but no adapter. What the merged model computes is compared with base plus adapter.
"""

import warnings
from pathlib import Path
from typing import Any

import torch

from adapters.errors import CannotExport
from adapters.loaded import loaded
from adapters.named_modules import config_by_names

PROBE_TOKENS = 24
SAME = 0.01
"""Standard deviations of the logits that two models may differ by which compute the same in another order."""


def merge(base: Path, adapter: Path, out: Path, dtype: torch.dtype | None = None) -> float:
    """Write the merged model into the new folder `out`, in the base's precision unless a type is given.

    Returns the largest difference of its logits to those of base plus adapter, in units of their standard deviation;
    what is left is rounding to the precision it is written in. Raises CannotExport, also if it is anything else, or
    CannotLoad.
    """
    from transformers import AutoTokenizer

    if out.exists():
        raise CannotExport(f"{out} exists already; name a folder that does not")
    merged, wanted = _merged(base, adapter, dtype)
    merged.save_pretrained(out)
    for weights in out.glob("*.safetensors"):
        weights.chmod((out / "config.json").stat().st_mode)  # safetensors writes for its owner alone
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(out)
    written = loaded(out, merged.dtype)
    _require_equal(written.state_dict(), merged.state_dict(), adapter)
    return _difference(_logits(written.float()), wanted)


def _merged(base: Path, adapter: Path, dtype: torch.dtype | None) -> tuple[Any, torch.Tensor]:
    """Return the merged model in the precision that is asked for, and the logits of base plus adapter."""
    plain = loaded(base, "auto")
    stored = dtype or plain.dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls what transformers has deprecated, and unties a head it changes
        adapted = _adapted(plain.float().eval(), adapter)
        wanted = _logits(adapted)
        merged = adapted.merge_and_unload()
    if not (difference := _difference(_logits(merged), wanted)) < SAME:  # nor if it is not a number
        raise CannotExport(
            f"{adapter}: what it does cannot be added to the weights of its base: logits differ by {difference:.2g} "
            f"standard deviations, and rounding explains less than {SAME}"
        )
    return merged.to(stored), wanted


def _require_equal(written: dict[str, torch.Tensor], merged: dict[str, torch.Tensor], adapter: Path) -> None:
    """Raise CannotExport for weights that come back as others, as a head would that is tied again when it is read."""
    for name, weight in merged.items():
        if not torch.equal(written[name].float(), weight.float()):
            raise CannotExport(f"{adapter}: {name} of the merged model is read back as something else than was written")


def _difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.std())


def _adapted(model: Any, adapter: Path) -> Any:  # peft is untyped
    from peft import PeftModel

    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    try:
        adapted = PeftModel.from_pretrained(model, adapter, config=config_by_names(adapter))
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise CannotExport(f"{adapter} does not fit the base (name its own with --base): {error}") from error
    if model.get_output_embeddings() is not head or model.get_input_embeddings() is not embeddings:
        _untie(model, head)
    return adapted


def _untie(model: Any, head: Any) -> None:
    """Give a head that shares its weights with the embeddings its own: an adapter changes one of them alone."""
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    model.config.tie_word_embeddings = False


@torch.inference_mode()
def _logits(model: Any) -> torch.Tensor:
    size = model.config.vocab_size
    ids = [(7 * i + 11) % size for i in range(PROBE_TOKENS)]
    logits: torch.Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits.float()
    return logits

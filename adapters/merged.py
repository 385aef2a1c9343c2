"""A persona as a model of its own: the base with the adapter's update added to its weights.

For programs that load a model but no adapter. What the merged model computes is compared with base plus adapter.
"""

import warnings
from pathlib import Path
from typing import Any

import torch

from adapters.errors import CannotExport

PROBE_TOKENS = 24


def merge(base: Path, adapter: Path, out: Path, dtype: torch.dtype | None = None) -> float:
    """Write the merged model into the new folder `out`, in the base's precision unless a type is given.

    Returns the largest difference of its logits to those of base plus adapter, in units of their standard deviation;
    what is left is rounding to the precision it is written in. Raises CannotExport.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if out.exists():
        raise CannotExport(f"{out} exists already; name a folder that does not")
    plain = AutoModelForCausalLM.from_pretrained(base, dtype="auto", trust_remote_code=False, local_files_only=True)
    written = dtype or plain.dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls what transformers has deprecated, and unties a head it changes
        adapted = _adapted(plain.float().eval(), adapter)
        wanted = _logits(adapted)
        merged = adapted.merge_and_unload().to(written)
    merged.save_pretrained(out)
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(out)
    difference = (_logits(merged.float()) - wanted).abs().max() / wanted.std()
    return float(difference)


def _adapted(model: Any, adapter: Path) -> Any:  # peft is untyped
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise CannotExport(f"{adapter} does not fit the base (name its own with --base): {error}") from error


@torch.inference_mode()
def _logits(model: Any) -> torch.Tensor:
    size = model.config.vocab_size
    ids = [(7 * i + 11) % size for i in range(PROBE_TOKENS)]
    logits: torch.Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits.float()
    return logits

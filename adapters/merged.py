"""A persona as a model of its own: the base with the adapter's update added to its weights.

For programs that load a model but no adapter. What the merged model computes is compared with base plus adapter.
"""

import warnings
from pathlib import Path
from typing import Any

import torch

from adapters.errors import CannotExport

PROBE_TOKENS = 24


def merge(base: Path, adapter: Path, out: Path) -> float:
    """Write the merged model in the base's precision into the new folder `out`.

    Returns the largest difference of its logits to those of base plus adapter, in units of their standard deviation;
    what is left is rounding to the stored precision. Raises CannotExport.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if out.exists():
        raise CannotExport(f"{out} exists already; name a folder that does not")
    plain = AutoModelForCausalLM.from_pretrained(base, dtype="auto", trust_remote_code=False, local_files_only=True)
    stored = plain.dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls what transformers has deprecated
        adapted = PeftModel.from_pretrained(plain.float().eval(), adapter)
    wanted = _logits(adapted)
    merged = adapted.merge_and_unload().to(stored)
    merged.save_pretrained(out)
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(out)
    difference = (_logits(merged.float()) - wanted).abs().max() / wanted.std()
    return float(difference)


@torch.inference_mode()
def _logits(model: Any) -> torch.Tensor:
    size = model.get_input_embeddings().num_embeddings
    ids = [(7 * i + 11) % size for i in range(PROBE_TOKENS)]
    logits: torch.Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits.float()
    return logits

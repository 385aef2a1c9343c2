"""Loads the weights of a transformers causal LM from a folder; a file that is broken or incomplete is an error."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from chatbot.engine.base import ModelNotFound


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:  # transformers is untyped
    """Return the model, ready to compute. Raises ModelNotFound; runs no code that comes with the weights."""
    try:
        with _no_progress_bar():
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except ImportError as error:  # what reads them is no part of transformers
        raise ModelNotFound(
            f"{folder}: quantised weights of this kind are not served; take the unquantised model ({error})"
        ) from error
    except Exception as error:  # a config may say anything, and transformers raises whatever comes of it
        raise ModelNotFound(f"{folder}: the weights cannot be loaded as a causal LM: {error}") from error
    if missing := sorted(report["missing_keys"]):
        raise ModelNotFound(f"{folder}: {len(missing)} weights are missing from the files, such as {missing[0]}")
    return model.requires_grad_(False).eval().to(device)


@contextlib.contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep stderr clean while weights load: a terminal client may own the screen."""
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()

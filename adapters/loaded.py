"""A base as transformers loads it, or why that cannot be; no code that comes with it is run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from adapters.errors import CannotLoad


def loaded(base: Path, dtype: torch.dtype | str) -> Any:  # transformers is untyped
    """Return the model in this folder, in this precision; `auto` is its own. Raises CannotLoad."""
    from transformers import AutoModelForCausalLM

    with loading(base):
        return AutoModelForCausalLM.from_pretrained(base, dtype=dtype, trust_remote_code=False, local_files_only=True)


@contextmanager
def loading(base: Path) -> Iterator[None]:
    """Raise CannotLoad for what transformers raises for a model that it does not know, or that is broken."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:  # ImportError: quantised ones
        raise CannotLoad(f"{base}: the model cannot be loaded: {error}") from error

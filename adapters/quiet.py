"""Keeps the libraries' own talk off the screen while an adapter is trained; errors still come through."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("transformers", "peft", "accelerate", "datasets")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence notices, warnings and progress bars of transformers, peft and accelerate inside the block."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging as own

    verbosity, has_bars = own.get_verbosity(), own.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    own.set_verbosity_error()
    own.disable_progress_bar()
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        own.set_verbosity(verbosity)
        if has_bars:
            own.enable_progress_bar()

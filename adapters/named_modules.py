"""Which modules an adapter changes, by the names of its tensors.

Its config may say so by a pattern, which peft would try on every module: one that is written to can take for ever.
"""

import re
from pathlib import Path
from typing import Any

from safetensors import safe_open

from chatbot.engine.digest import ADAPTER_WEIGHTS

MODULE = re.compile(r"base_model\.model\.(.+?)\.lora_")


def config_by_names(adapter: Path) -> Any:  # peft is untyped
    """Return the adapter's config as peft reads it, without any pattern for the modules.

    Raises what peft does for a config that is none.
    """
    from peft import PeftConfig

    config = PeftConfig.from_pretrained(adapter)
    with safe_open(adapter / ADAPTER_WEIGHTS, framework="np") as weights:
        config.target_modules = {match[1] for name in weights.keys() if (match := MODULE.match(name))}  # noqa: SIM118
    config.exclude_modules = config.layers_to_transform = config.layers_pattern = None
    return config

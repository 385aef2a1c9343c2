"""What may be gone on from, and how a folder that may not is refused."""

import json
import math
from pathlib import Path

import pytest

from adapters.errors import CannotTrain
from adapters.start import read_start

PLAIN = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


def test_a_folder_without_an_adapter_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CannotTrain, match=r"--from here: .*adapter_config\.json: cannot be read: No such file"):
        read_start(tmp_path, "here")
    (tmp_path / "adapter_config.json").write_text(json.dumps(PLAIN))
    with pytest.raises(CannotTrain, match=r"--from here: .*No such file or directory \(give a persona or its folder\)"):
        read_start(tmp_path, "here")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[" * 10_000, "not JSON"),
        ("[]", "expected a JSON object, got list"),
        (json.dumps(PLAIN | {"peft_type": "IA3"}), "peft_type = 'IA3'"),
        (json.dumps(PLAIN | {"r": 4.9}), "r = 4.9; expected an integer from 1 to"),
        (json.dumps(PLAIN | {"r": math.inf}), "r = inf"),
        (json.dumps(PLAIN | {"lora_alpha": math.nan}), "lora_alpha = nan; expected a positive number"),
        (json.dumps(PLAIN | {"lora_alpha": True}), "lora_alpha = True"),
    ],
)
def test_a_config_of_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(CannotTrain, match=rf"--from here: .*adapter_config\.json: {said}"):
        read_start(tmp_path, "here")

"""What may be gone on from, and how a folder that may not is refused."""

import json
from pathlib import Path

import pytest

from adapters.errors import CannotTrain
from adapters.start import read_start


def test_a_folder_without_an_adapter_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CannotTrain, match=r"--from here: .*No such file or directory \(give a persona or its folder\)"):
        read_start(tmp_path, "here")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"peft_type": "IA3"}), json.dumps({"r": None})])
def test_a_config_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(CannotTrain, match="no config of a LoRA adapter"):
        read_start(tmp_path, "here")

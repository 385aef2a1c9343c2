"""What the recipe's command takes."""

from __future__ import annotations

import pytest

from adapters.recipes.base.__main__ import main


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--steps 0", "more than 0"),
        ("--minutes 0", "more than 0"),
        ("--learn attention", "--learn needs --from"),
        ("--from MODEL --shape small", "--shape is for a new model"),
        ("--from MODEL --kv-heads 2", "--kv-heads is for a new model"),
        ("--from MODEL --tokenizer-dialogues 9", "--tokenizer-dialogues is for a new model"),
        ("--from MODEL", "no training.json there"),
    ],
)
def test_options_that_mean_nothing_are_told(flags: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--out", "unused", *flags.split()])
    assert told in capsys.readouterr().err

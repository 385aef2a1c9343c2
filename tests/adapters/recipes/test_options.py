"""What the recipe's command takes."""

from __future__ import annotations

import pytest

from adapters.recipes.base.__main__ import main


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--steps 0", "more than 0"),
        ("--minutes 0", "more than 0"),
        ("--pause-minutes 0", "--pause-minutes 0.0: expected more than 0"),
        ("--rate 0", "--rate 0.0: expected more than 0"),
        ("--batch-tokens 64", "--batch-tokens 64: expected at least 256"),
        ("--passes 0", "--passes 0: expected at least 1"),
        ("--workers -1", "--workers -1: expected at least 0"),
        ("--threads 0", "--threads 0: expected at least 1"),
        ("--remembering 60", "expected a share, from 0 to 1"),
        ("--device mps", "--device mps: expected cpu or cuda"),
        ("--corpus nowhere", "--corpus nowhere: no such folder"),
        ("--layers 0", "--layers 0: expected at least 1"),
        ("--heads 3", "--hidden 256: expected a multiple of twice --heads 3"),
        ("--kv-heads 3", "--heads 4: expected a multiple of --kv-heads 3"),
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

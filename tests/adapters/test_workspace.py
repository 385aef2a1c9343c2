"""One run of a persona at a time, whatever happens to its folder."""

import fcntl
from pathlib import Path

import pytest

from adapters.errors import CannotTrain
from adapters.workspace import only_run


def test_what_blocks_within_a_run_is_not_told_as_another_run(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), only_run(tmp_path):
        raise BlockingIOError


@pytest.mark.parametrize("is_made_again", [True, False])
def test_a_folder_that_was_deleted_before_it_was_locked_is_made_and_locked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_made_again: bool
) -> None:
    home, lock = tmp_path / "pirate", fcntl.flock

    def too_late(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        home.rename(tmp_path / "gone")
        if is_made_again:
            home.mkdir()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", too_late)
    with only_run(home), pytest.raises(CannotTrain, match="another run trains this persona"), only_run(home):
        pass

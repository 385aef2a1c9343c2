import os
from pathlib import Path

import pytest

from chatbot.server import edition


def test_the_edition_is_that_of_the_file_that_was_changed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edition, "PACKAGE", tmp_path / "chatbot")
    (tmp_path / "tui").mkdir()
    (tmp_path / "tui" / ".#draft.py").symlink_to("somebody@here.1234")  # as Emacs marks what it edits
    changed_s = 4_000_000_000
    (tmp_path / "tui" / "old.py").touch()
    (tmp_path / "tui" / "new.py").touch()
    os.utime(tmp_path / "tui" / "new.py", (changed_s, changed_s))
    assert edition.edition.__wrapped__()[-1] == changed_s

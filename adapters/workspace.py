"""The folder of a run that is not finished: checkpoints and what they belong to. Gone once the adapter is published.

Trainer writes a checkpoint file by file, `trainer_state.json` last; only one that has it can be resumed from.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from adapters.errors import CannotTrain

JOB_FILE = "job.json"
STATE_FILE = "trainer_state.json"
CHECKPOINT = "checkpoint-"


class Workspace:
    """The work folder of one persona's run."""

    def __init__(self, home: Path) -> None:
        self.folder = home / ".work"
        self.checkpoints = self.folder / "checkpoints"
        self.events = self.folder / "events.jsonl"

    def begin(self, job: Mapping[str, Any]) -> Path | None:
        """Return where a run about the very same was stopped, which would end as this one; None to begin at the start.

        Then what an earlier run left is forgotten, and what this one is about is noted.
        """
        with suppress(CannotTrain):
            if stopped := self.resume(job):
                return stopped
        self.remove()
        self.checkpoints.mkdir(parents=True)
        (self.folder / JOB_FILE).write_text(json.dumps(job, indent=2, sort_keys=True), encoding="utf-8")
        return None

    def resume(self, job: Mapping[str, Any]) -> Path | None:
        """Return the newest complete checkpoint; None if the run was stopped before its first.

        Raises CannotTrain if there is no run to resume, or if it was about other data or settings.
        """
        try:
            before = json.loads((self.folder / JOB_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise CannotTrain(f"{self.folder}: no interrupted run to resume (leave out --resume)") from None
        now = json.loads(json.dumps(job))
        if changed := [key for key in sorted(now | before) if now.get(key) != before.get(key)]:
            raise CannotTrain(
                f"the interrupted run had other {', '.join(changed)} (restore them, or start over without --resume)"
            )
        return self.newest_complete()

    def newest_complete(self) -> Path | None:
        """Return the checkpoint with the highest step that was written to its end."""
        found = [path for path in self.checkpoints.glob(f"{CHECKPOINT}*") if _is_complete(path)]
        return max(found, key=_step, default=None)

    def remove_if_useless(self) -> None:
        """Delete what cannot be gone on from, once nobody works on it."""
        if self.newest_complete() is None:
            self.remove()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def only_run(home: Path) -> Iterator[None]:
    """Hold the one place to train this persona. Raises CannotTrain if another run has it."""
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CannotTrain(f"{home}: another run trains this persona (wait for it, or use another --name)") from None
    finally:
        os.close(handle)


def data_sha256(paths: list[Path]) -> str:
    """Return one digest over the contents of the data files, in their order."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return checkpoint.name.removeprefix(CHECKPOINT).isdigit()


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(CHECKPOINT))

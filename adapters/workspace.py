"""The folder of a run that is not finished: checkpoints and what they belong to. Gone once the adapter is published.

Trainer writes a checkpoint file by file, `trainer_state.json` last; only one that has it, and of which no file is cut
off, can be resumed from.
"""

import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.errors import BadSettings, CannotTrain
from adapters.whole import is_whole

JOB_FILE = "job.json"
COMMAND_FILE = "command"
STATE_FILE = "trainer_state.json"
CHECKPOINT = "checkpoint-"
BROKEN = "broken-"


class Workspace:
    """The work folder of one persona's run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / ".work"
        self.checkpoints = self.folder / "checkpoints"
        self.events = self.folder / "events.jsonl"

    def begin(self, job: Mapping[str, Any], command: str) -> None:
        """Forget what an earlier run left, and note what this one is about, and the command that goes on with it."""
        self.remove()
        self.checkpoints.mkdir(parents=True)
        (self.folder / COMMAND_FILE).write_text(command, encoding="utf-8", errors="surrogateescape")
        (self.folder / JOB_FILE).write_text(json.dumps(job, indent=2, sort_keys=True), encoding="utf-8")

    def stopped_at(self, job: Mapping[str, Any]) -> Path | None:
        """Return where a run about the very same was stopped, which would end as this one; None to begin at the start.

        Raises BadSettings if a run about something else was stopped: hours of work go only when they are told to.
        """
        if (newest := self.newest_complete()) is None:
            return None
        if changed := self._changed(job):
            raise BadSettings(
                f"a run of {self.folder.parent.name} was stopped at step {_step(newest)} and had other "
                f"{', '.join(changed)} ({self.way_on()}, or give --restart to throw it away)"
            )
        return newest

    def resume(self, job: Mapping[str, Any]) -> Path | None:
        """Return the newest complete checkpoint; None if the run was stopped before its first.

        Raises CannotTrain if there is no run to resume, or if it was about other data or settings.
        """
        if self._job() is None:
            raise CannotTrain(f"{self.folder}: no interrupted run to resume (leave out --resume)")
        if changed := self._changed(job):
            raise CannotTrain(f"the interrupted run had other {', '.join(changed)} (restore them, or give --restart)")
        return self.newest_complete()

    def way_on(self) -> str:
        """Return how to go on with the stopped run, in words."""
        try:
            command = (self.folder / COMMAND_FILE).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            command = ""
        return f"go on by: {command}" if command else "give its command again to go on"

    def forget_after(self, checkpoint: Path) -> None:
        """Drop the events that come after this checkpoint, for what they tell will happen again."""
        kept = at = 0
        for line in self.events.read_bytes().splitlines(keepends=True) if self.events.exists() else ():
            at += len(line)
            if _step_told(line) <= _step(checkpoint):
                kept = at
        if kept < at:
            os.truncate(self.events, kept)

    def newest_complete(self) -> Path | None:
        """Return the checkpoint with the highest step that was written to its end and is whole."""
        found = [path for path in self.checkpoints.glob(f"{CHECKPOINT}*") if _is_complete(path)]
        return max(found, key=_step, default=None)

    def set_aside_broken(self) -> list[Path]:
        """Rename every checkpoint that is not whole, so that Trainer counts it no longer, and return the new names."""
        return [_set_aside(path) for path in self.checkpoints.glob(f"{CHECKPOINT}*") if not _is_complete(path)]

    def remove_if_useless(self) -> None:
        """Delete what cannot be gone on from, once nobody works on it."""
        if self.newest_complete() is None:
            self.remove()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _job(self) -> dict[str, Any] | None:
        """Return what the stopped run was about; None if there is none, or nothing that tells."""
        try:
            job = json.loads((self.folder / JOB_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return job if isinstance(job, dict) else None

    def _changed(self, job: Mapping[str, Any]) -> list[str]:
        """Return what the stopped run had other than this one."""
        return list(_differences(self._job() or {}, json.loads(json.dumps(job))))


@contextmanager
def only_run(home: Path) -> Iterator[None]:
    """Hold the one place to train this persona. Raises CannotTrain if another run has it."""
    while (handle := _locked(home)) is None:
        pass
    try:
        yield
    finally:
        os.close(handle)


def is_held(home: Path) -> bool:
    """Whether a run trains this persona now."""
    try:
        with only_run(home):
            return False
    except CannotTrain:
        return True


def _locked(home: Path) -> int | None:
    """Return what holds the lock of the folder; None if its last holder deleted it before it was locked."""
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(home)):
            return handle
    except FileNotFoundError:
        pass
    except BlockingIOError:
        os.close(handle)
        raise CannotTrain(f"{home}: another run trains this persona (wait for it, or use another --name)") from None
    os.close(handle)
    return None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys that have other values, those of settings one by one, with both values where they are numbers."""
    for key in sorted(now.keys() | before.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new)
        elif old != new:
            are_numbers = isinstance(old, int | float) and isinstance(new, int | float)
            yield f"{key} ({old}, now {new})" if are_numbers else key


def _is_complete(checkpoint: Path) -> bool:
    is_ended = checkpoint.name.removeprefix(CHECKPOINT).isdigit() and (checkpoint / STATE_FILE).is_file()
    return is_ended and all(map(is_whole, checkpoint.iterdir()))


def _set_aside(checkpoint: Path) -> Path:
    aside = checkpoint.with_name(f"{BROKEN}{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    return checkpoint.rename(aside)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(CHECKPOINT))


def _step_told(line: bytes) -> float:
    """Return the step that an event is about; infinity if it is about none, or cut off."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return math.inf
    return step if isinstance(step, int) else math.inf

"""The file by which a client on this machine finds the server: its address and process id."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from chatbot.server.edition import edition


class CannotAnnounce(Exception):
    """No client would find the server."""


@dataclass(frozen=True, slots=True)
class Announced:
    url: str
    pid: int
    is_background: bool = False
    """Whether a client started it, so that it makes way for one that is started by hand."""
    edition: tuple[int, ...] = ()
    """That of its program; the first ones did not tell theirs."""

    @property
    def is_outdated(self) -> bool:
        """Whether a client started it from an earlier edition of this program, so that it makes way for any other."""
        return self.is_background and self.edition < edition()


class Announcement:
    """`server.json` in the state folder. It may be stale after a crash: whoever reads it asks `/health` too."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "server.json"

    def read(self) -> Announced | None:
        """Return what the last server announced, or None."""
        try:
            found = json.loads(self._path.read_text())
            return Announced(
                url=str(found["url"]),
                pid=int(found["pid"]),
                is_background=bool(found.get("is_background")),
                edition=tuple(map(int, found.get("edition", ()))),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def made(self, announced: Announced) -> Iterator[None]:
        """Announce a server for as long as the block runs. Raises CannotAnnounce."""
        self._write(announced)
        try:
            yield
        finally:
            if self.read() == announced:
                self._path.unlink(missing_ok=True)

    def _write(self, announced: Announced) -> None:
        partial = self._path.with_suffix(f".{announced.pid}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(asdict(announced)))
            os.replace(partial, self._path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            said = "expected a file to write, by which clients find the server, but"
            raise CannotAnnounce(f"{self._path}: {said} {error.strerror or error}") from error

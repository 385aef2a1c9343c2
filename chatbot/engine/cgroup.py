"""The limits of a container on Linux: control groups, version 2 (Documentation/admin-guide/cgroup-v2.rst)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A group and all above it, each of which may set limits."""

    folder: Path
    root: Path

    @classmethod
    def own(cls) -> "Cgroup":
        """Return the group of this process, or the topmost where it is not known."""
        for line in _read(MEMBERSHIP).splitlines():
            if line.startswith("0::/"):
                return cls(ROOT / line.removeprefix("0::/"), ROOT)
        return cls(ROOT, ROOT)

    def cores(self) -> float:
        """Return for how many cores there is time; infinite without a limit."""
        return min((_quota(folder) for folder in self._folders()), default=math.inf)

    def free_bytes(self) -> float:
        """Return how much more memory may be used; infinite without a limit."""
        return min((_room(folder) for folder in self._folders()), default=math.inf)

    def _folders(self) -> Iterator[Path]:
        folder = self.folder
        while folder.is_relative_to(self.root):
            yield folder
            folder = folder.parent


def _quota(folder: Path) -> float:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.strip().isdigit() else math.inf


def _room(folder: Path) -> float:
    limit, used = _read(folder / "memory.max").strip(), _read(folder / "memory.current").strip()
    if not limit.isdigit() or not used.isdigit():
        return math.inf
    return max(0, int(limit) - int(used) + _reclaimable(folder))


def _reclaimable(folder: Path) -> int:
    """Return how much of the used memory is cached files that are not needed."""
    lines = (line.split() for line in _read(folder / "memory.stat").splitlines())
    return next((int(line[1]) for line in lines if line[:1] == ["inactive_file"]), 0)


def _read(path: Path) -> str:
    """Return a file's text, empty where there is none or it may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")  # a group may have any name
    except OSError:
        return ""

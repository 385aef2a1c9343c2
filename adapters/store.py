"""Published adapters on disk: `<root>/<name>/v<N>/`, complete or not there at all.

A version appears by one rename and is never changed afterwards, but for the name in its persona.toml and its card when
the persona gets another, so a running server may scan at every turn. What is half-written, hidden or broken is never
returned; broken versions are told in `problems`.
"""

import errno
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from uuid import uuid4

from adapters.errors import AdapterNotFound, BadPersona, CannotTrain
from adapters.persona import NAME, check_name
from adapters.published import AdapterFolder, Stamp, name_version, read_version, stamp
from adapters.synced import sync, sync_folder
from adapters.workspace import Workspace, is_held, only_run

VERSION = re.compile(r"v([1-9][0-9]{0,8})")
HALF = re.compile(rf"\.{VERSION.pattern}\.[0-9a-f]{{32}}\.tmp")
"""A version that is being written or deleted."""
HIGHEST = ".highest"
"""A file with the highest number that a version of the persona has had, once one was deleted."""

__all__ = ["AdapterFolder", "AdapterNotFound", "AdapterStore"]


class AdapterStore:
    """The adapters below several roots; the first root is the one that is published to."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)
        self._known: dict[Path, tuple[Stamp, AdapterFolder | str]] = {}
        self.problems: tuple[str, ...] = ()
        """What the last scan found broken or could not read, one sentence each."""

    def scan(self) -> list[AdapterFolder]:
        """Return every version by name and number; a file is read again only if its stat has changed."""
        found: dict[tuple[str, int], AdapterFolder] = {}
        problems: list[str] = []
        known: dict[Path, tuple[Stamp, AdapterFolder | str]] = {}
        for name, version, path in self._versions(problems.append):
            now = stamp(path)
            before = self._known.get(path)
            entry = before[1] if before is not None and before[0] == now else read_version(name, version, path)
            known[path] = (now, entry)
            if isinstance(entry, str):
                way_out = f" (chatbot adapter rm {name}@v{version} removes it)" if self._is_own(path) else ""
                problems.append(entry + way_out)
            else:
                found.setdefault((name, version), entry)
        self._known, self.problems = known, tuple(problems)
        return [found[key] for key in sorted(found)]

    def resolve(self, reference: str, *, base_digest: str | None = None) -> AdapterFolder:
        """Return `pirate` (its newest version) or `pirate@v2`; with a base digest, of those that fit it.

        Raises AdapterNotFound with the base that it has, or the nearest name there is.
        """
        versions = self.scan()
        meant = [adapter for adapter in versions if reference in (adapter.name, adapter.reference)]
        fitting = [a for a in meant if base_digest is None or a.base_digest in (None, base_digest)]
        if fitting:
            return fitting[-1]
        if meant:
            raise AdapterNotFound(_other_base(meant[-1]))
        raise AdapterNotFound(_not_found(reference, versions))

    def publish(self, name: str, fill: Callable[[Path, int], None]) -> AdapterFolder:
        """Let `fill(folder, version)` write a new version, then make it appear at once; all of it or nothing."""
        home = self.home(name)
        home.mkdir(parents=True, exist_ok=True)
        while True:
            version = self._next_version(name)
            staging = _half(home / f"v{version}")
            try:
                staging.mkdir()
                fill(staging, version)
                if isinstance(problem := read_version(name, version, staging), str):
                    raise BadPersona(problem)
                sync_folder(staging)
                if _appears_as(staging, home / f"v{version}"):
                    return self.resolve(f"{name}@v{version}")
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def own(self, reference: str) -> list[Path]:
        """Return the folders of the versions in the first root that are meant, broken ones too.

        There may be none if there is a stopped run; else raises AdapterNotFound, or BadPersona if none is one's own.
        """
        meant = [path for name, number, path in self._versions() if reference in (name, f"{name}@v{number}")]
        own = [path for path in meant if self._is_own(path)]
        if not meant and not self.stopped_run(reference):
            raise AdapterNotFound(_not_found(reference, self.scan()))
        if not own and not self.stopped_run(reference):
            raise BadPersona(f"{reference} ships with the program and stays as it is ({meant[0]})")
        return own

    def remove(self, reference: str) -> list[str]:
        """Delete `pirate@v2`, or all versions of `pirate` and its stopped run, and return the versions that are gone.

        Only the first root is touched. Raises AdapterNotFound, BadPersona, or CannotTrain if all there is runs now.
        """
        run = self.stopped_run(reference)
        own = self.own(reference)
        name = reference.partition("@")[0]
        if own:
            (self.home(name) / HIGHEST).write_text(f"{self._next_version(name) - 1}\n")
        for version in own:
            grave = _half(version)
            os.rename(version, grave)
            shutil.rmtree(grave)
        with suppress(*([CannotTrain] if own else [])), only_run(self.home(name)):
            self.sweep(name)
            if run:
                shutil.rmtree(run)
        if not any(map(VERSION.fullmatch, _folders(self.home(name)))):
            (self.home(name) / HIGHEST).unlink(missing_ok=True)
        remove_if_empty(self.home(name))
        return [f"{name}@{version.name}" for version in own]

    def rename(self, name: str, new: str) -> list[AdapterFolder]:
        """Give all own versions of a persona another name, at once, and return them.

        Raises AdapterNotFound; BadPersona if the name is taken or none; CannotTrain while it is trained.
        """
        check_name(new)
        self.own(check_name(name))
        for each in (name, new):
            self._forget_useless_run(each)
        if any(taken == new for taken, _, _ in self._versions()) or self.stopped_run(new):
            raise BadPersona(f"there is a {new} already (chatbot adapter rm {new}, or choose another name)")
        if run := self.stopped_run(name):
            raise BadPersona(f"a run of {name} has not ended, {run} (end it by giving its command again)")
        with only_run(self.home(name)):
            os.rename(self.home(name), self.home(new))
        sync(self._roots[0])
        renamed = [adapter for adapter in self.scan() if adapter.name == new]
        for adapter in renamed:
            name_version(adapter.path, new)
        return renamed

    def stopped_run(self, name: str) -> Path | None:
        """Return the folder of a run of this name that has not ended; perhaps it is still going on."""
        run = Workspace(self._roots[0] / name).folder if NAME.fullmatch(name) else None
        return run if run and os.path.isdir(run) else None

    def stopped_runs(self) -> list[tuple[str, Workspace]]:
        """Return name and place of every run that can be gone on with, and is not going on now."""
        found = [(name, Workspace(self._roots[0] / name)) for name in _folders(self._roots[0]) if NAME.fullmatch(name)]
        return [(name, work) for name, work in found if work.newest_complete() and not is_held(work.home)]

    def sweep(self, name: str) -> None:
        """Delete what was half-written or half-deleted when its process was killed.

        For who holds the one place to train this persona (`workspace.only_run`), so that nobody is writing now.
        """
        home = self.home(name)
        for leaf in _folders(home):
            if HALF.fullmatch(leaf):
                shutil.rmtree(home / leaf, ignore_errors=True)

    def _forget_useless_run(self, name: str) -> None:
        """Delete what was left of a run that was killed before its first checkpoint."""
        with suppress(CannotTrain), only_run(self.home(name)):
            Workspace(self.home(name)).remove_if_useless()
        remove_if_empty(self.home(name))

    def home(self, name: str) -> Path:
        """Return the folder in the first root that holds the versions of a name.

        Raises BadPersona if it cannot be, or is a link, which is never read.
        """
        home = self._roots[0] / check_name(name)
        if home.is_symlink():
            raise BadPersona(
                f"{home}: expected a folder, but this is a link (put the folder there, or link all of them)"
            )
        return home

    def _is_own(self, version: Path) -> bool:
        return version.parent.parent == self._roots[0]

    def _next_version(self, name: str) -> int:
        """Return a number that no version of the persona has had, as long as there is one, and that nothing has now."""
        there = [version for known, version, _ in self._versions() if known == name]
        first = 1 + max(_highest(self.home(name)), *there, 0)
        return next(number for number in count(first) if not os.path.lexists(self.home(name) / f"v{number}"))

    def _versions(self, tell: Callable[[str], None] = lambda _: None) -> list[tuple[str, int, Path]]:
        """Every folder that is named like a version, whatever is in it; `tell` hears of those that cannot be read."""
        found = [
            (home, int(match[1]), root / home / leaf)
            for root in self._roots
            for home in _folders(root, tell)
            if NAME.fullmatch(home)
            for leaf in _folders(root / home, tell)
            if (match := VERSION.fullmatch(leaf))
        ]
        return sorted(found, key=lambda version: version[:2])  # of one number in two roots, the first stays first


def remove_if_empty(home: Path) -> None:
    """Leave no empty folder behind for a persona of which nothing is published."""
    with suppress(OSError):
        home.rmdir()


def _highest(home: Path) -> int:
    """Return the highest number of a version that was noted when one was deleted; 0 if none was."""
    try:
        noted = VERSION.fullmatch(f"v{(home / HIGHEST).read_text().strip()}")
    except (OSError, ValueError):
        return 0
    return int(noted[1]) if noted else 0


def _half(version: Path) -> Path:
    """Return a new name for this version while it is not whole."""
    return version.with_name(f".{version.name}.{uuid4().hex}.tmp")


def _folders(parent: Path, tell: Callable[[str], None] = lambda _: None) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    except OSError as error:
        tell(f"{parent}: {error.strerror or error}; what is in it is ignored")
        return []


def _other_base(adapter: AdapterFolder) -> str:
    base = f"{adapter.base_name} ({str(adapter.base_digest)[:12]})"
    return f"{adapter.reference} was trained on another base, {base}; name that one, or train it again on this one"


def _not_found(reference: str, versions: Sequence[AdapterFolder]) -> str:
    names = sorted({adapter.name for adapter in versions})
    near = get_close_matches(reference.partition("@")[0], names, n=1)
    if near:
        own = ", ".join(f"v{adapter.version}" for adapter in versions if adapter.name == near[0])
        hint = f"did you mean {near[0]!r} ({own})?"
    else:
        hint = f"there are {', '.join(names)}" if names else "none is published; see chatbot adapter train --help"
    return f"no adapter is called {reference!r}; {hint}"


def _appears_as(staging: Path, final: Path) -> bool:
    """Rename a finished folder; False if somebody else took the number in the meantime."""
    try:
        os.rename(staging, final)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    sync(final.parent)
    return True

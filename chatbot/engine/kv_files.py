"""KV of conversations in a folder of files, within a limit of bytes; the file used longest ago goes first.

Only files that are named as ours are ever touched. Those of another model are left alone until the limit needs their
room; broken ones are removed. A file is written under another name and renamed, so that it is whole or not there.
Any thread may call; `write` is for one at a time.
"""

import hashlib
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chatbot.engine.kv_entry import Key, KVEntry, KVKind
from chatbot.engine.kv_format import BrokenKV, ForeignKV, read_kv, read_tokens, write_kv
from chatbot.engine.kv_owner import remove_files
from chatbot.engine.slots import common_prefix

NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}\.safetensors")
UNFINISHED = ".unfinished"
HEADER_BYTES = 1024
"""More than a header takes."""
SPARE_BYTES = 256 << 20
"""Room on the disk that is left to others: what was said is stored there too, and cannot be made again."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class KVFile:
    """A file of ours that fits the model."""

    path: Path
    adapter: str | None
    tokens: list[int]


class KVFiles:
    """The files of one folder, and which tokens are in those that fit the model."""

    def __init__(self, folder: Path, kind: KVKind, limit_bytes: int) -> None:
        """Open the folder, made if it is missing, and look through it. Raises OSError."""
        self._folder = folder
        self._kind = kind
        self._limit_bytes = limit_bytes
        self._index: dict[str, KVFile] = {}
        self._lock = threading.Lock()
        self._has_complained = False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._look_through()
        self._make_room(0)

    @property
    def limit_bytes(self) -> int:
        return self._limit_bytes

    def best(self, prompt: Sequence[int], adapter: str | None) -> tuple[KVFile | None, int]:
        """Return the file that begins with most of the prompt, the shortest of such, and how many tokens that is."""
        best, length = None, 0
        for file in list(self._index.values()):  # a single call, for which no lock has to be waited for
            shared = common_prefix(file.tokens, prompt) if file.adapter == adapter else 0
            if shared > length or (best and shared == length and len(file.tokens) < len(best.tokens)):
                best, length = file, shared
        return best, length

    def has(self, file: KVFile) -> bool:
        """Return whether a file is still there as it was found, without waiting for anybody."""
        return self._index.get(file.path.name) is file

    def read(self, file: KVFile) -> KVEntry | None:
        """Return what is in a file and make it the last to go; None if it is gone, broken or cannot be read now."""
        try:
            entry = read_kv(file.path, self._kind)
            if entry.tokens != file.tokens or file.path.name != self._name(entry.key):
                raise BrokenKV("it is not the file it was")
            os.utime(file.path)
        except (BrokenKV, ForeignKV) as reason:
            log.warning("%s: removed, its KV will be computed again: %s", file.path, reason)
            self._remove(file)
        except OSError as error:
            log.info("%s: cannot be read, its KV will be computed again: %s", file.path, error)
            if isinstance(error, FileNotFoundError):
                self._remove(file)
        else:
            return entry
        return None

    def write(self, entry: KVEntry, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Put an entry into its file, unless it is there already or not wanted any more once it is written."""
        path = self._folder / self._name(entry.key)
        try:
            if not self._is_there(path, entry) and self._make_room(
                entry.size_bytes + 4 * len(entry.tokens) + HEADER_BYTES
            ):
                self._write(path, entry, is_wanted)
                self._has_complained = False
        except OSError as error:
            if is_wanted():  # else its conversation was deleted, and with it the file that was being written
                self._complain(path, error)

    def forget(self, owner: str) -> None:
        """Remove all files of a conversation, whatever their model."""
        with self._lock:
            remove_files(self._folder, owner)
            for name in [name for name in self._index if name.startswith(f"{owner}-")]:
                del self._index[name]

    def _is_there(self, path: Path, entry: KVEntry) -> bool:
        """Return whether a file holds just this entry, which is noted as its use."""
        there = self._index.get(path.name)
        if there is None or there.tokens != entry.tokens:
            return False
        try:
            os.utime(path, (entry.used_at, entry.used_at))
        except FileNotFoundError:
            self._remove(there)
            return False
        return True

    def _write(self, path: Path, entry: KVEntry, is_wanted: Callable[[], bool]) -> None:
        """Write a file; of one that cannot be written to its end nothing stays, for others need a full disk's room."""
        unfinished = path.with_name(path.name + UNFINISHED)
        try:
            write_kv(unfinished, entry, self._kind)
            os.utime(unfinished, (entry.used_at, entry.used_at))
            self._publish(unfinished, path, entry, is_wanted)
        finally:
            unfinished.unlink(missing_ok=True)

    def _publish(self, unfinished: Path, path: Path, entry: KVEntry, is_wanted: Callable[[], bool]) -> None:
        with self._lock:
            if is_wanted():
                unfinished.replace(path)
                self._index[path.name] = KVFile(path, entry.adapter, entry.tokens)

    def _look_through(self) -> None:
        foreign, broken = [], []
        for path in self._ours():
            try:
                header, tokens = read_tokens(path, self._kind)
                if path.name != self._name((header.owner, header.adapter)):
                    raise BrokenKV("its name and its header do not agree")
                self._index[path.name] = KVFile(path, header.adapter, tokens)
            except ForeignKV:
                foreign.append(path)
            except BrokenKV as reason:
                broken.append(f"{path.name}: {reason}")
                path.unlink(missing_ok=True)
            except OSError as error:
                broken.append(f"{path.name}: {error}")
        if foreign:
            log.warning("%s: left %d files of another model or version alone", self._folder, len(foreign))
        if broken:
            log.warning("%s: ignored %d broken files: %s", self._folder, len(broken), "; ".join(broken))

    def _ours(self) -> Iterator[Path]:
        """Give the files that are named as ours; half-written ones are of an engine that died, and removed."""
        for path in sorted(self._folder.iterdir()):
            if NAME.fullmatch(path.name.removesuffix(UNFINISHED)):
                if path.name.endswith(UNFINISHED):
                    path.unlink(missing_ok=True)
                elif path.is_file():
                    yield path

    def _make_room(self, size_bytes: int) -> bool:
        """Remove the files used longest ago until so much fits within limit and disk; False if it never will."""
        found = []
        for path in self._ours():
            with suppress(FileNotFoundError):  # a conversation may be deleted meanwhile
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        held = sum(size for _, size, _ in found)
        room = max(0, min(self._limit_bytes, held + shutil.disk_usage(self._folder).free - SPARE_BYTES))
        if size_bytes > room:
            return False
        excess = held + size_bytes - room
        for _, size, path in sorted(found):
            if excess <= 0:
                break
            with self._lock:
                self._index.pop(path.name, None)
                path.unlink(missing_ok=True)
            excess -= size
        return True

    def _remove(self, file: KVFile) -> None:
        with self._lock:
            if self.has(file):
                del self._index[file.path.name]
                with suppress(OSError):
                    file.path.unlink(missing_ok=True)

    def _name(self, key: Key) -> str:
        owner, adapter = key
        made_by = hashlib.sha256(f"{self._kind}{adapter}".encode()).hexdigest()[:16]
        return f"{owner}-{made_by}.safetensors"

    def _complain(self, path: Path, error: OSError) -> None:
        """Tell the first failure; a full disk would fail for every conversation."""
        if not self._has_complained:
            log.warning("%s: KV cannot be written, and will be computed again when it is needed: %s", path, error)
        self._has_complained = True

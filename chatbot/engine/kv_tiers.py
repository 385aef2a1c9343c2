"""Where KV lives that is in no slot: in host memory, and below that in files. Restoring it is one copy.

KV is found by base, adapter content digest and tokens, never by name: what is brought into a slot is the longest
beginning that a prompt has in common with it under the same adapter. The engine's thread only ever copies within
memory; files are read ahead by who submits a prompt and written by a thread of their own.
"""

import copy
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatbot.engine.kv import SlotKV
from chatbot.engine.kv_entry import KVEntry, KVKind, longest
from chatbot.engine.kv_files import KVFile, KVFiles
from chatbot.engine.kv_host import HostKV
from chatbot.engine.kv_owner import owner_of
from chatbot.engine.kv_writer import KVWriter
from chatbot.engine.slots import WORTH_COPYING_TOKENS, Slot

MIB = 1 << 20
IN_FLIGHT_BYTES = 512 * MIB
"""How much may be on its way to files, and as much from them; a conversation that is larger is not put into one."""
WORTH_READING_TOKENS = 32
WORTH_READING_PART = 8
"""A file must spare that many tokens, and one in so many of its own: reading one takes a tenth of computing it."""
CLOSING_S = 5.0
"""How long a stopping engine writes what it has in memory."""
log = logging.getLogger(__name__)


def open_tiers(kv: SlotKV, kind: KVKind, *, host_bytes: int, disk_bytes: int, folder: Path | None) -> "KVTiers":
    """Return the tiers below these slots; a limit of 0 bytes turns one off and removes what it has in the folder.

    A folder that cannot be used is told and done without.
    """
    files = None
    if folder is not None and (disk_bytes > 0 or folder.is_dir()):
        try:
            files = KVFiles(folder, kind, disk_bytes)
        except OSError as error:
            log.warning("%s: KV is not kept on disk: %s", folder, error)
    return KVTiers(kv, host_bytes=host_bytes, files=files if disk_bytes > 0 else None)


@dataclass(slots=True, eq=False)
class ReadAhead:
    """A file that is worth reading for a prompt, and what was read from it."""

    file: KVFile
    entry: KVEntry | None = None
    is_over: bool = False
    """Whether nobody waits for it any more."""


class KVTiers:
    """The tiers below the slots of one engine. `exchange` and what keeps is for the engine's thread."""

    def __init__(self, kv: SlotKV, *, host_bytes: int, files: KVFiles | None) -> None:
        self._kv = kv
        self._host = HostKV(host_bytes)
        self._ahead = HostKV(IN_FLIGHT_BYTES)
        """What was read from files for prompts that wait."""
        self._files = files
        self._writer = KVWriter(files, IN_FLIGHT_BYTES) if files is not None else None
        self._lock = threading.Lock()
        """Guards what is in memory. Never held while anybody waits for a disk."""

    def over(self, kv: SlotKV) -> "KVTiers":
        """Return the same tiers below other slots, for a thread of its own: one that is stuck keeps its old ones."""
        tiers = copy.copy(self)
        tiers._kv = kv
        return tiers

    def exchange(self, slot: Slot, session: str, prompt: Sequence[int], adapter: str | None, *, at_least: int) -> None:
        """Keep what is in a slot if it is not of this session and adapter, then bring in kept KV."""
        entry, length = self._take(owner_of(session), prompt, adapter, at_least)
        if slot.session != session or slot.adapter != adapter:
            self._keep(slot)
        if entry is not None:
            self._restore(slot, entry, length)

    def keep_ahead(self, slot: Slot) -> None:
        """Keep what is in a slot that may have to be given up soon: half of what an exchange costs, paid before."""
        if self._size_bytes(len(slot.tokens)) <= self._host.limit_bytes:
            self._keep(slot)

    def worth_reading(self, prompt: Sequence[int], adapter: str | None, resident: int) -> ReadAhead | None:
        """Return what is worth reading for a prompt of which `resident` tokens are in a slot, if anything is."""
        if self._files is None:
            return None
        file, length = self._files.best(prompt, adapter)
        if file is None or length < resident + WORTH_READING_TOKENS:
            return None
        if self._size_bytes(len(file.tokens)) > self._ahead.limit_bytes:
            return None
        with self._lock:
            gain = length - max(resident, longest(self._in_memory(), prompt, adapter)[1])
        is_worth_it = gain >= max(WORTH_READING_TOKENS, len(file.tokens) // WORTH_READING_PART)
        return ReadAhead(file) if is_worth_it else None

    def read_ahead(self, wanted: ReadAhead) -> None:
        """Read a file into memory, for the prompt that is about to be submitted. Waits for the disk."""
        assert self._files is not None
        try:
            entry = self._files.read(wanted.file)
        except (RuntimeError, MemoryError) as error:  # out of host memory: the prompt is computed then
            log.warning("KV of %d tokens was not read: %s", len(wanted.file.tokens), error)
            return
        if entry is not None:
            with self._lock:
                if self._files.has(wanted.file) and not wanted.is_over:  # else its conversation was deleted meanwhile
                    self._ahead.put(entry)
                    wanted.entry = entry

    def let_go(self, wanted: ReadAhead) -> None:
        """Drop what was read, or is still being read, for a prompt that has ended, if it did not go into a slot."""
        with self._lock:
            wanted.is_over = True
            if wanted.entry is not None:
                self._ahead.remove(wanted.entry)

    def forget(self, session: str) -> None:
        """Drop everything of a session, files too. Slots are not looked at."""
        owner = owner_of(session)
        with self._lock:
            self._host.forget(owner)
        if self._writer is not None:
            self._writer.forget(owner)
        with self._lock:  # after the files, or one being read could still arrive
            self._ahead.forget(owner)

    def keep_all(self, slots: Iterable[Slot]) -> None:
        """Keep what is in all slots, as far as there is room for it in files: the engine ends."""
        if self._files is None:
            return
        room, kept = self._files.limit_bytes, []
        for slot in sorted(slots, key=lambda slot: slot.last_used, reverse=True):
            room -= self._size_bytes(len(slot.tokens))
            if room >= 0:
                kept.append(slot)
        for slot in reversed(kept):
            self._keep(slot)

    def close(self) -> None:
        """Write what is in memory to files, the last used first, for a few seconds at most."""
        if self._writer is not None:
            self._writer.close(list(self._host), CLOSING_S)

    def _take(
        self, owner: str, prompt: Sequence[int], adapter: str | None, at_least: int
    ) -> tuple[KVEntry | None, int]:
        """Return the best entry and how much of it fits; from then on a session's KV is that in its slot."""
        with self._lock:
            entry, length = longest(self._in_memory(), prompt, adapter) if len(prompt) >= at_least else (None, 0)
            self._host.touch(owner, time.time())
            self._ahead.forget(owner)
            if (own := self._host.get((owner, adapter))) is not None:
                self._host.remove(own)
            if entry is None or length < at_least:
                return None, 0
            self._ahead.remove(entry)
            return entry, length

    def _keep(self, slot: Slot) -> None:
        """Copy a slot's KV to host memory, and let go to files what has no room there any more."""
        if len(slot.tokens) < WORTH_COPYING_TOKENS or slot.session is None:
            return
        owner = owner_of(slot.session)
        there = self._host.get((owner, slot.adapter))
        if there is not None and there.tokens == slot.tokens:
            return
        if self._size_bytes(len(slot.tokens)) > max(self._host.limit_bytes, IN_FLIGHT_BYTES if self._writer else 0):
            return
        try:
            keys, values = self._kv.save(slot.index, len(slot.tokens))
        except RuntimeError as error:  # out of host memory
            log.warning("KV of %d tokens was not kept: %s", len(slot.tokens), error)
            return
        used_at = time.time() - (time.monotonic() - slot.last_used)
        entry = KVEntry(owner, slot.adapter, list(slot.tokens), keys, values, used_at)
        with self._lock:
            for fallen in self._host.put(entry):
                if self._writer is not None:
                    self._writer.put(fallen)

    def _restore(self, slot: Slot, entry: KVEntry, length: int) -> None:
        slot.tokens, slot.adapter = [], entry.adapter
        try:
            self._kv.restore(slot.index, entry.keys, entry.values, length)
        except RuntimeError as error:  # out of device memory; what is half there must not be used
            log.warning("KV of %d tokens was not restored: %s", length, error)
        else:
            slot.tokens = entry.tokens[:length]

    def _in_memory(self) -> list[KVEntry]:
        return [*self._host, *self._ahead, *(self._writer.waiting if self._writer is not None else ())]

    def _size_bytes(self, tokens: int) -> int:
        shape = self._kv.shape
        return shape.bytes_per_slot(self._kv.keys.dtype) * tokens // shape.max_len

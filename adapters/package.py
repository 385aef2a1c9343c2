"""The files of an adapter that came from elsewhere: a folder as PEFT writes it, or a zip or tar of one.

Only files with an adapter's own names are ever read, and only their contents: no path and no link of an archive counts.
"""

import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from adapters.errors import CannotImport
from adapters.persona import PERSONA_FILE
from adapters.published import BASE_FILE, CARD_FILE, EVENTS_FILE
from chatbot.engine.digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS

FILES = (ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_FILE, PERSONA_FILE, CARD_FILE, EVENTS_FILE)
PICKLED = "adapter_model.bin"
MAX_FILE_BYTES = 4 << 30
"""As many as the engine reads of an adapter's weights."""
BLOCK_BYTES = 1 << 20
EXPECTED = f"the folder that PEFT's save_pretrained writes, with {ADAPTER_CONFIG} in it, or a zip or tar of one"

Open = Callable[[], IO[bytes]]


@contextmanager
def unpacked(source: Path) -> Iterator[Path]:
    """Give a new folder with copies of the adapter's files in a folder or archive. Raises CannotImport or OSError."""
    with tempfile.TemporaryDirectory(prefix="chatbot-import-") as scratch:
        folder = Path(scratch)
        try:
            with _opened(source) as members:
                for name, opener in _adapter_in(source, members).items():
                    _copy(opener, folder / name, source)
        except (
            zipfile.BadZipFile,
            tarfile.TarError,
            EOFError,
            zlib.error,
            LZMAError,
            RuntimeError,
            ValueError,
        ) as error:
            raise CannotImport(f"{source}: the archive cannot be read: {error}") from error
        yield folder


@contextmanager
def _opened(source: Path) -> Iterator[Mapping[PurePosixPath, Open]]:
    """Give what opens each plain file, by its path."""
    if source.is_dir():
        yield {PurePosixPath(path.name): partial(_file, path) for path in source.iterdir() if path.is_file()}
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            yield {PurePosixPath(info.filename): partial(archive.open, info) for info in infos}
    elif source.is_file() and tarfile.is_tarfile(source):
        with tarfile.open(source) as tar:
            yield {PurePosixPath(member.name): partial(_member, tar, member) for member in tar if member.isreg()}
    elif not source.exists():
        raise CannotImport(f"{source}: there is no such file or folder (give {EXPECTED})")
    else:
        raise CannotImport(f"{source}: neither a folder nor an archive (give {EXPECTED})")


def _file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None  # it is a regular one
    return file


def _adapter_in(source: Path, members: Mapping[PurePosixPath, Open]) -> dict[str, Open]:
    """Return the files of the one adapter, which lies above all others, as a run's result above its checkpoints."""
    homes = sorted({path.parent for path in members if path.name == ADAPTER_CONFIG}, key=lambda at: (_depth(at), at))
    if not homes:
        raise CannotImport(f"{source}: no {ADAPTER_CONFIG} in it (give {EXPECTED})")
    if len(homes) > 1 and _depth(homes[0]) == _depth(homes[1]):
        told = ", ".join(map(str, homes))
        raise CannotImport(f"{source}: several adapters in it: {told} (unpack it, and give the folder of one)")
    found = {path.name: opener for path, opener in members.items() if path.parent == homes[0]}
    if ADAPTER_WEIGHTS not in found:
        raise CannotImport(f"{source}: no {ADAPTER_WEIGHTS} beside {homes[0] / ADAPTER_CONFIG} ({_way_out(found)})")
    return {name: found[name] for name in FILES if name in found}


def _way_out(found: Mapping[str, Open]) -> str:
    if PICKLED in found:
        return f"{PICKLED} is a pickle, which can run code and is not read; save it with safe_serialization=True"
    return f"give {EXPECTED}"


def _depth(path: PurePosixPath) -> int:
    return len(path.parts)


def _copy(opener: Open, target: Path, source: Path) -> None:
    """Copy a file, but no more of it than an adapter can have: archives can hold far more than they seem to."""
    left = MAX_FILE_BYTES
    with opener() as file, target.open("wb") as out:
        while block := file.read(BLOCK_BYTES):
            left -= len(block)
            if left < 0:
                raise CannotImport(f"{source}: {target.name} has more than the {MAX_FILE_BYTES} bytes that are read")
            out.write(block)

"""Has forward.c compiled for this very machine and loads it; where there is no C compiler, torch computes instead.

A second of compiling is kept in a folder, under a name made of the source and of all that the compiler says of itself
and of the processor, so that neither an upgrade nor a home shared by several machines loads the wrong code.
"""

import ctypes
import hashlib
import os
import shlex
import subprocess
import tempfile
from ctypes import POINTER, c_int64, c_void_p
from functools import cache
from pathlib import Path

import structlog

from chatbot.engine.compiled.structs import Layer, Network, Product, Site, Update

SOURCE = Path(__file__).with_name("forward.c")
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC")
"""What is not a number stays so, but nobody asks which operation made it: that is what vectors of exponentials need."""
X86, ARM, THREADS = ("-march=native", "-mprefer-vector-width=512"), ("-mcpu=native",), ("-fopenmp",)
TUNINGS = ((*X86, *THREADS), X86, (*ARM, *THREADS), ARM)
"""For this processor, the first that works; a compiler without OpenMP, as that of macOS, computes in one thread."""
COMPILE_WITHIN_S = 120.0
log = structlog.get_logger()


class NotCompiled(Exception):
    """There is no compiled code to be had here; the message says why."""


@cache
def load(folder: Path | None = None) -> ctypes.CDLL:
    """Return the library, from `folder` if it was compiled before.

    Without a folder, or if nothing can be kept there, it is compiled for this process alone. Raises NotCompiled.
    """
    if folder is None:
        return _load_once()
    try:
        return _load(folder)
    except NotCompiled as problem:
        library = _load_once()  # which fails in its own words if it is not the folder that is at fault
        log.warning("engine.compiled_code_not_kept", reason=str(problem))
        return library


def _load_once() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="chatbot-") as scratch:
        return _load(Path(scratch))


def _load(folder: Path) -> ctypes.CDLL:
    problems = []
    for tuning in TUNINGS:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_ours(folder):
                raise NotCompiled("it belongs to or can be written by others, so no code is kept there")
            return _built(folder, [*shlex.split(os.environ.get("CC") or "cc"), *FLAGS, *tuning])
        except (NotCompiled, OSError, ValueError) as problem:
            problems.append(f"{folder}: {problem}")
    raise NotCompiled("; ".join(dict.fromkeys(problems)))


def _built(folder: Path, command: list[str]) -> ctypes.CDLL:
    """Return the library that a command makes, from the folder if it is there, ours and whole."""
    name = f"forward-{_key(command)}"
    for path in folder.glob(f"{name}-*.so"):
        if _is_ours(path) and path.stem == f"{name}-{_digest(path.read_bytes())}":
            return _declared(ctypes.CDLL(str(path)))
        path.unlink(missing_ok=True)  # cut short, say: loading that would kill the process
    return _declared(ctypes.CDLL(str(_compile(command, folder, name))))


def _key(command: list[str]) -> str:
    """Return a digest of the source, of the command, and of all that the compiler defines by itself."""
    sources = [SOURCE, *sorted(SOURCE.parent.glob("*.h"))]
    parts = [path.read_bytes() for path in sources]
    defined = _run([*command, "-dM", "-E", "-x", "c", os.devnull])
    return _digest(b"".join([*parts, " ".join(command).encode(), defined]))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Say what the functions take and return; addresses are those of tensors and arrays."""
    library.struct_bytes.restype = library.panel_outputs.restype = c_int64
    assert library.struct_bytes() == sum(map(ctypes.sizeof, (Product, Layer, Network, Update, Site)))
    library.scratch_per_token.argtypes = (POINTER(Network),)
    library.scratch_per_token.restype = c_int64
    library.linear.argtypes = (POINTER(Product), c_void_p, c_void_p, c_int64, c_int64)
    library.linear.restype = None
    library.forward.argtypes = (
        POINTER(Network),
        c_void_p,
        c_int64,
        c_void_p,
        c_int64,
        c_void_p,
        c_void_p,
        c_int64,
    )
    library.forward.restype = c_int64
    return library


def _compile(command: list[str], folder: Path, name: str) -> Path:
    """Write the library into the folder, its digest in its name, and return its path.

    It is there at once or not at all: several servers may start together.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / name
        _run([*command, str(SOURCE), "-o", str(made), "-lm"])
        made.chmod(0o700)  # or a umask that lets the group write would have it refused next time
        with made.open("rb") as file:
            os.fsync(file)
        return made.replace(folder / f"{name}-{_digest(made.read_bytes())}.so")


def _run(command: list[str]) -> bytes:
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_WITHIN_S).stdout  # noqa: S603
    except FileNotFoundError:
        raise NotCompiled(f"there is no C compiler called {command[0]!r}") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        raise NotCompiled(f"{command[0]}: {lines[0] if lines else error}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotCompiled(f"{command[0]}: {error}") from error


def _is_ours(path: Path) -> bool:
    """Whether nobody else could have put code there."""
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022

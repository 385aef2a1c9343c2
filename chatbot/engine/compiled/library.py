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

from chatbot.engine.compiled.structs import Network, Product

SOURCE = Path(__file__).with_name("forward.c")
HEADERS = ("numbers.h", "products.h", "attention.h")
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
"""What is not a number stays so, but nobody asks which operation made it: that is what vectors of exponentials need."""
TUNINGS = (("-march=native", "-fopenmp"), ("-mcpu=native",))
"""For this processor, on Linux and on macOS, whose compiler has no OpenMP: there it computes in one thread."""
COMPILE_WITHIN_S = 120.0


class NotCompiled(Exception):
    """There is no compiled code to be had here; the message says why."""


@cache
def load(folder: Path | None = None) -> ctypes.CDLL:
    """Return the library, from `folder` if it was compiled before; without one it is compiled for this process alone.

    Raises NotCompiled.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="chatbot-") as scratch:
            return _load(Path(scratch))
    return _load(folder)


def _load(folder: Path) -> ctypes.CDLL:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    tuning, target = _target(compiler)
    sources = b"".join(path.read_bytes() for path in (SOURCE, *map(SOURCE.with_name, HEADERS)))
    key = hashlib.sha256(sources + target + " ".join(FLAGS + tuning).encode()).hexdigest()
    path = folder / f"forward-{key[:32]}.so"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_is_ours(folder)
        if not path.exists():
            _compile([*compiler, *FLAGS, *tuning], path)
        return _declared(ctypes.CDLL(str(path)))
    except OSError as error:
        raise NotCompiled(f"{path}: {error}") from error


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Say what the functions take and return; addresses are those of tensors and arrays."""
    library.panel_outputs.restype = c_int64
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


def _target(compiler: list[str]) -> tuple[tuple[str, ...], bytes]:
    """Return the flags that the compiler understands, and all that it defines by itself."""
    problems = []
    for tuning in TUNINGS:
        try:
            return tuning, _run([*compiler, *tuning, "-dM", "-E", "-x", "c", os.devnull])
        except NotCompiled as problem:
            problems.append(str(problem))
    raise NotCompiled("; ".join(problems))


def _compile(command: list[str], path: Path) -> None:
    """Write the library to `path`, at once or not at all: several servers may start together."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        _run([*command, str(SOURCE), "-o", str(made), "-lm"])
        made.replace(path)


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


def _check_is_ours(folder: Path) -> None:
    """Raise NotCompiled if somebody else could put code into the folder."""
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise NotCompiled(f"{folder}: belongs to or can be written by others, so no code is loaded from it")

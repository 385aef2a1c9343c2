"""Standard streams that can be used, however the program was started."""

import io
import os
import sys


def open_streams() -> None:
    """Have all three: a closed one is empty or forgets, and what a stream's encoding lacks is printed as `?`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # a file opened later would get its number, and what is printed
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")

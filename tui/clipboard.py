"""Copying out of a full-screen program: by escape sequence through the terminal, and by the platform's own tool.

Neither is sure to work (OSC 52 fails in macOS Terminal, tools fail over ssh), so both are tried.
"""

import base64
import os
import shutil
import subprocess
import sys

TOOL_TIMEOUT_S = 2.0

_TOOLS = (("wl-copy", "WAYLAND_DISPLAY"), ("xclip", "DISPLAY"), ("xsel", "DISPLAY"))
_ARGUMENTS = {"xclip": ["-selection", "clipboard"], "xsel": ["--clipboard", "--input"]}


def osc52(text: str, *, in_tmux: bool) -> str:
    """Return the escape sequence that hands text to the terminal's clipboard."""
    sequence = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"
    if in_tmux:
        return f"\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\"
    return sequence


def tool_command() -> list[str] | None:
    """Return the copy tool of this desktop, if one is at hand."""
    if sys.platform == "darwin":
        return ["pbcopy"]
    if sys.platform == "win32":
        return ["clip"]
    for name, display in _TOOLS:
        if os.environ.get(display) and (path := shutil.which(name)):
            return [path, *_ARGUMENTS.get(name, [])]
    return None


def copy_with_tool(text: str) -> str | None:
    """Copy by the platform's tool; return its name if it worked. Blocks for at most two seconds."""
    command = tool_command()
    if command is None:
        return None
    nowhere = subprocess.DEVNULL  # a pipe would stay open for as long as a tool stays behind to serve the text
    try:
        subprocess.run(  # noqa: S603
            command, input=text.encode(), check=True, timeout=TOOL_TIMEOUT_S, stdout=nowhere, stderr=nowhere
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return os.path.basename(command[0])

"""Lines that are typed on a terminal, after a prompt, or come through a pipe."""

import asyncio
import contextlib
import sys
import threading

from tui.ask import readable


class TypedLines:
    """The lines of stdin. Made inside a running event loop."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._lines = _read_behind()

    async def next(self, prompt: str) -> str | None:
        """Prompt and wait for a line; None at the end. The shell's own prompt shall not stand behind ours."""
        if not self.is_terminal:
            return await self._lines.get()
        print(prompt, end="", flush=True)
        line = None
        try:
            line = await self._lines.get()
        finally:
            if line is None:
                print()
        return line

    async def agrees(self, question: str) -> bool:
        """Ask on a terminal, where only y means yes; a pipe cannot be asked, and means what it says."""
        return not self.is_terminal or (await self.next(f"{question} [y/N] ") or "").strip().lower() in ("y", "yes")


def _read_behind() -> "asyncio.Queue[str | None]":
    """Return a queue of lines, None at the end. Its thread is a daemon, so that a waiting read never delays leaving."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            for line in readable(sys.stdin):
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return lines

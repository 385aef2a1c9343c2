"""Lines that are typed on a terminal, after a prompt, or come through a pipe."""

import asyncio
import contextlib
import sys
import threading

from tui.ask import BYTE_ORDER_MARK, readable


class TypedLines:
    """The lines of stdin, each read when it is wanted: what comes through a pipe may be more than memory holds."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._stdin = readable(sys.stdin)

    async def next(self, prompt: str) -> str | None:
        """Prompt and wait for a line; None at the end. The shell's own prompt shall not stand behind ours."""
        if not self.is_terminal:
            return await self._read()
        print(prompt, end="", flush=True)
        line = None
        try:
            line = await self._read()
        finally:
            if line is None:
                print()
        return line

    async def agrees(self, question: str) -> bool:
        """Ask on a terminal, where only y means yes; a pipe cannot be asked, and means what it says."""
        return not self.is_terminal or (await self.next(f"{question} [y/N] ") or "").strip().lower() in ("y", "yes")

    async def _read(self) -> str | None:
        """Return the next line, None at the end. A daemon reads it, so that a waiting read never delays leaving."""
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str] = loop.create_future()

        def take(text: str) -> None:
            if not line.done():
                line.set_result(text)

        def read() -> None:
            text = self._stdin.readline().removeprefix(BYTE_ORDER_MARK)  # not only the first: files are put together
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(take, text)

        threading.Thread(target=read, daemon=True).start()
        return await line or None

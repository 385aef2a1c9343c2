"""A Chromium without a window, driven over the DevTools protocol: what a user does, and what the page then shows."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = shutil.which("google-chrome") or shutil.which("chromium")
PATIENCE_S = 120.0
"""For a machine with much else to do; a condition that holds is seen at once."""
KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, "")}
KEYS |= {name: (name, code, "") for name, code in (("End", 35), ("Home", 36), ("ArrowUp", 38), ("ArrowDown", 40))}
_SHIFT = 8


@contextmanager
def chromium(folder: Path) -> Iterator[str]:
    """Run a browser, with what it keeps in a folder, and give the address where it is driven."""
    assert CHROMIUM is not None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    flags += ["--remote-debugging-port=0", f"--user-data-dir={folder}"]
    flags += ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    # What it leaves behind goes with a folder of its own, whose path is short enough for a socket.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [CHROMIUM, *flags, "about:blank"], stdout=log, stderr=log, env={**os.environ, "TMPDIR": scratch}
        )
        try:
            yield _address(folder / "DevToolsActivePort", process)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(told: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        lines = told.read_text().split() if told.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise AssertionError(f"chromium did not start:\n{(told.parent / 'log').read_text()}")


class Page:
    """One tab, or without a session the browser itself."""

    def __init__(self, connection: ClientConnection, session: str | None = None) -> None:
        self._connection = connection
        self._session = session
        self._ids = itertools.count(1)
        self.faults: list[str] = []
        """What the page threw, and what its browser refused it."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        call_id = next(self._ids)
        call = {"id": call_id, "method": method, "params": params}
        session = {"sessionId": self._session} if self._session else {}
        await self._connection.send(json.dumps(call | session))
        while True:
            told = json.loads(await asyncio.wait_for(self._connection.recv(), PATIENCE_S))
            self._note_fault(told)
            if told.get("id") == call_id and told.get("sessionId") == self._session:
                assert "error" not in told, told["error"]
                return dict(told["result"])

    def _note_fault(self, told: dict[str, Any]) -> None:
        if told.get("method") == "Runtime.exceptionThrown":
            self.faults.append(str(told["params"]["exceptionDetails"].get("exception", {}).get("description")))
        elif told.get("method") == "Log.entryAdded" and told["params"]["entry"]["source"] == "security":
            self.faults.append(told["params"]["entry"]["text"])

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        deadline = time.monotonic() + PATIENCE_S
        while not await self.value(f"(() => {{ try {{ return Boolean({condition}) }} catch {{ return false }} }})()"):
            if time.monotonic() > deadline:
                shown = await self.value("document.body.innerText")
                raise AssertionError(f"never so: {condition}\nfaults: {self.faults}\nthe page shows:\n{shown}")
            await asyncio.sleep(0.05)

    async def until_shown(self, text: str, within: str = "body") -> None:
        await self.until(f"document.querySelector({json.dumps(within)}).innerText.includes({json.dumps(text)})")

    async def type(self, text: str) -> None:
        """Put text in where the keyboard writes."""
        await self.call("Input.insertText", text=text)

    async def press(self, key: str, *, shift: bool = False) -> None:
        name, code, text = KEYS[key]
        event = {"key": name, "code": name, "windowsVirtualKeyCode": code, "modifiers": _SHIFT if shift else 0}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    async def click(self, selector: str) -> None:
        await self.until(f"document.querySelector({json.dumps(selector)})")
        await self.value(f"document.querySelector({json.dumps(selector)}).click()")

    async def screenshot(self, file: Path) -> None:
        told = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(told["data"]))


@asynccontextmanager
async def page(browser: str) -> AsyncIterator[Page]:
    """Open a tab in a browser profile of its own."""
    async with connect(browser, max_size=None, compression=None, proxy=None, ping_interval=None) as connection:
        whole = Page(connection)
        context = (await whole.call("Target.createBrowserContext"))["browserContextId"]
        target = await whole.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await whole.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = Page(connection, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        yield tab
        await whole.call("Target.disposeBrowserContext", browserContextId=context)

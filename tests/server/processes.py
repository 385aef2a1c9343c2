"""Servers as processes of their own, so that they can be killed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from chatbot.server.announcement import Announcement
from chatbot.settings import Settings

START_TIMEOUT_S = 120.0

CHATBOT = ("chatbot", "serve")
SCRIPTED = ("tests.server.scripted_server",)


class ServerProcess:
    """A Python module that serves on a free port, with everything it keeps below one folder."""

    def __init__(self, home: Path, *module: str, **environment: str) -> None:
        self.home = home
        self._log = home / "server.log"
        home.mkdir(parents=True, exist_ok=True)
        passed = {"CHATBOT_HOME": str(home), "CHATBOT_PORT": "0", "CHATBOT_CHECKPOINT_S": "0.05", **environment}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module],
                env={**os.environ, **passed, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def url(self) -> str:
        """Return the address once the server answers there."""
        announcement = Announcement(Settings(home=self.home).state_dir)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            announced = announcement.read()
            if announced and announced.pid == self.process.pid and _answers(announced.url):
                return announced.url
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self._log.read_text()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask the server to stop and return its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)


@contextmanager
def server_process(home: Path, *module: str, **environment: str) -> Iterator[ServerProcess]:
    """Run a server for as long as the block runs."""
    server = ServerProcess(home, *module, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", verify=False).is_success
    except httpx.HTTPError:
        return False

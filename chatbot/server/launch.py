"""Find the server of this user, or start one that goes away by itself once nobody has used it for a while."""

import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from chatbot.server.announcement import Announcement
from chatbot.settings import Settings

ALREADY_SERVED = 4
"""Exit code of a server that finds another one on its data."""
START_TIMEOUT_S = 600.0
"""A large model takes minutes to be read, or downloaded; who does not want to wait can leave."""
ANSWER_TIMEOUT_S = 10.0
"""Beside other work a server may take seconds to answer; to start another then only adds to the work."""
POLL_S = 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 4.0
"""Before a server is started again where another has the data: each takes time from that one, which may be loading."""
IDLE_EXIT_S = 60.0


class ServerDidNotStart(Exception):
    """The server that was started in the background went away, or did not answer in time."""


class OtherModelServed(ServerDidNotStart):
    """A model was asked for, and the server that runs on this data has another one."""


@dataclass(frozen=True, slots=True)
class _Running:
    """A server that answers, and the model it has."""

    url: str
    model: str
    is_outdated: bool
    """Whether another takes its place when it is started."""


async def ensure_server(settings: Settings, on_start: Callable[[], None] = lambda: None) -> str:
    """Return the address of a server that answers, started now if there is none; `on_start` is told of that.

    After an upgrade, one in the background that is of before is replaced once its replies have ended.

    Raises:
        OtherModelServed: the settings name a model, and the server that runs has another one.
        ServerDidNotStart: the server that was started went away, or did not answer in time.
    """
    # A proxy cannot know a server of this machine, and without its answer another would be started in vain.
    # It speaks plain HTTP, too, and reading every certificate would take 30 ms.
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S, trust_env=False, verify=False) as http:  # noqa: S501
        announcement = Announcement(settings.state_dir)
        running = await _running(http, announcement)
        if running is None or running.is_outdated:
            on_start()
            running = await _started(http, announcement, settings)
    if "model" in settings.model_fields_set and running.model != settings.model_name:
        raise OtherModelServed(
            f"expected a server with the model {settings.model_name!r}, but the one at {running.url} has"
            f" {running.model!r}: stop it first, or leave the model out"
        )
    return running.url


async def _started(http: httpx.AsyncClient, announcement: Announcement, settings: Settings) -> _Running:
    log = settings.state_dir / "server.log"
    child, pause_s, again_at = _start(settings, log), FIRST_PAUSE_S, math.inf
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        await asyncio.sleep(POLL_S)
        running = await _running(http, announcement)
        if running is not None and (not running.is_outdated or child.poll() == ALREADY_SERVED):
            return running
        if time.monotonic() > again_at:
            child, pause_s, again_at = _start(settings, log), min(2 * pause_s, LONGEST_PAUSE_S), math.inf
        elif child.poll() == ALREADY_SERVED:  # by one that will answer in a moment, or that is about to end
            again_at = min(again_at, time.monotonic() + pause_s)
        elif child.poll() is not None:
            raise ServerDidNotStart(f"the server did not start: {_last_line(log)}\nits log is {log}")
    raise ServerDidNotStart(f"the server did not answer within {START_TIMEOUT_S:.0f} s; its log is {log}")


async def _running(http: httpx.AsyncClient, announcement: Announcement) -> _Running | None:
    announced = announcement.read()
    if announced is None:
        return None
    try:
        answer = await http.get(f"{announced.url}/health")
        health = answer.json()
        return _Running(announced.url, health["model"], announced.is_outdated) if health["status"] == "ok" else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None  # nobody, or some other program that has the port now


def _start(settings: Settings, log: Path) -> "subprocess.Popen[bytes]":
    """Start `chatbot serve` with the same settings, apart from this terminal, on a free port."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    except OSError as error:
        why = f"{error.filename}: expected a place for the server's log {log}, but {error.strerror}"
        raise ServerDidNotStart(f"{why}; try: CHATBOT_HOME=FOLDER") from error
    said = settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    said.update(port=0, idle_exit_s=said.get("idle_exit_s", IDLE_EXIT_S))
    passed = {f"CHATBOT_{name.upper()}": _as_env(value) for name, value in said.items()}
    with output:
        return subprocess.Popen(
            [sys.executable, "-m", "chatbot", "serve", "--background"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **passed},
        )


def _as_env(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"

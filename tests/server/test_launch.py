import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest

from chatbot.client import Client
from chatbot.server import launch
from chatbot.server.announcement import Announced, Announcement
from chatbot.server.edition import edition
from chatbot.server.launch import ALREADY_SERVED, OtherModelServed, ServerDidNotStart, ensure_server
from chatbot.settings import Settings
from tests.fake_engine import FakeEngine
from tests.live_server import live_server


async def test_a_server_that_runs_is_found(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url:
        assert await ensure_server(Settings(home=tmp_path)) == url


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
    ],
)
async def test_a_server_of_this_machine_is_found_past_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, variable: str, value: str
) -> None:
    async with live_server(tmp_path, FakeEngine(), host=bound, api_key="key") as url:
        monkeypatch.setenv(variable, value)
        monkeypatch.setattr(launch, "_start", lambda *_: pytest.fail("another server was started"))
        assert await ensure_server(Settings(home=tmp_path)) == url
        async with Client(url, "key") as client:
            assert (await client.conversations()).data == []


async def test_a_server_with_another_model_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url:
        with pytest.raises(OtherModelServed, match=f"expected .* 'gpt2', but the one at {url} has"):
            await ensure_server(Settings(home=tmp_path, model="gpt2"))


async def test_where_a_server_is_about_to_end_another_is_started_once_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not answer any more, but still has the data: the first that is started finds them locked."""
    settings, ended = Settings(home=tmp_path), list[subprocess.Popen[bytes]]()
    async with live_server(tmp_path / "next", FakeEngine()) as url:

        def start(*_: object) -> "subprocess.Popen[bytes]":
            if ended:
                shutil.copytree(Settings(home=tmp_path / "next").state_dir, settings.state_dir)
            ended.append(subprocess.Popen([sys.executable, "-c", f"raise SystemExit({ALREADY_SERVED})"]))
            ended[-1].wait()
            return ended[-1]

        monkeypatch.setattr(launch, "_start", start)
        assert await ensure_server(settings) == url


async def test_a_server_in_the_background_of_before_an_upgrade_is_replaced_if_it_makes_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, announcement = Settings(home=tmp_path / "home"), Announcement(Settings(home=tmp_path / "home").state_dir)
    async with live_server(tmp_path, FakeEngine()) as old:
        new = old.replace("127.0.0.1", "localhost")

        def start(*_: object) -> Mock:
            announced.enter_context(announcement.made(Announced(new, 2, is_background=True, edition=edition())))
            return Mock(poll=lambda: None)

        with ExitStack() as announced, announcement.made(Announced(old, 1, is_background=True)):
            monkeypatch.setattr(launch, "_start", lambda *_: Mock(poll=lambda: ALREADY_SERVED))
            assert await ensure_server(settings) == old
            monkeypatch.setattr(launch, "_start", start)
            assert await ensure_server(settings) == new
            monkeypatch.setattr(launch, "_start", lambda *_: pytest.fail("another server was started"))
            assert await ensure_server(settings) == new


BOTH = """
import asyncio
from chatbot.server.launch import ensure_server
from chatbot.settings import Settings

async def main():
    first, second = await asyncio.gather(ensure_server(Settings()), ensure_server(Settings()))
    print(first == second)

asyncio.run(main())
"""


def test_two_terminals_opened_at_once_share_one_server(tmp_path: Path) -> None:
    # In a process of its own, because the server that is started outlives who started it.
    environment = {**os.environ, "CHATBOT_HOME": str(tmp_path), "CHATBOT_IDLE_EXIT_S": "2"}
    ended = subprocess.run([sys.executable, "-c", BOTH], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "True\n"


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServerDidNotStart, match="/nowhere"):
        await ensure_server(Settings(home=tmp_path, model="/nowhere"))


async def test_a_setting_that_is_given_as_it_is_by_default_wins_in_the_background_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATBOT_HOST", "0.0.0.0")  # which would need a key, before the model is looked for
    with pytest.raises(ServerDidNotStart, match="/nowhere"):
        await ensure_server(Settings(home=tmp_path, host="127.0.0.1", model="/nowhere"))


@pytest.fixture
async def stranger() -> AsyncIterator[str]:
    """Some other program that has our old port now, and answers in its own way."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as serving:
        yield f"http://127.0.0.1:{serving.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("url", [None, "nonsense", "http://[::1"])
async def test_a_stale_announcement_leads_to_nobody(tmp_path: Path, stranger: str, url: str | None) -> None:
    settings = Settings(home=tmp_path, model="/nowhere")
    settings.state_dir.mkdir(parents=True)
    (settings.state_dir / "server.json").write_text(json.dumps({"url": url or stranger, "pid": 1}))
    with pytest.raises(ServerDidNotStart, match="/nowhere"):
        await ensure_server(settings)


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerDidNotStart, match=r"file/state: expected a place for the server's log .*Not a directory"):
        await ensure_server(Settings(home=tmp_path / "file"))

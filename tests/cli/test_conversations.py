"""`chatbot conversations` against a real server with scripted replies."""

import asyncio
import gzip
import json
import lzma
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from chatbot.cli.program import app
from chatbot.server import lines
from tests.fake_engine import FakeEngine
from tests.live_server import live_server


@pytest.fixture
async def http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    async with (
        live_server(tmp_path / "home", FakeEngine()) as url,
        httpx.AsyncClient(base_url=url, verify=False) as client,
    ):
        yield client


async def conversations(*arguments: str | Path, said: str = "") -> Result:
    words = ["conversations", *map(str, arguments)]
    return await asyncio.to_thread(CliRunner().invoke, app, words, input=said)


def line(text: str, **fields: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": text}]} | fields)


async def test_conversations_go_out_and_come_in_again(
    http: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chats.jsonl"
    told = await conversations("import", "-", said=f"{line('one', title='Sea')}\n{line('two')}")
    assert told.stdout == "2 imported, 0 already there, 0 wrong\n"
    assert (await conversations("export", file)).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = file.read_text("utf-8")
    assert [json.loads(line)["title"] for line in written.splitlines()] == ["Sea", "two"]
    for conversation in (await http.get("/v1/conversations")).json()["data"]:
        await http.delete(f"/v1/conversations/{conversation['id']}")
    assert (await conversations("import", file)).stdout == "2 imported, 0 already there, 0 wrong\n"
    assert (await conversations("import", file)).stdout == "0 imported, 2 already there, 0 wrong\n"
    longest = len(max(written.splitlines(), key=len))
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", longest - 1)
    every = await conversations("export", "-")
    assert every.stdout == written
    assert f"lines of up to {longest - 1} bytes, and one has {longest};" in every.stderr
    assert (await conversations("export", "-", "--conversation", "Sea")).stdout == written.splitlines(True)[0]


async def test_a_wrong_line_is_named_and_the_exit_code_says_so(http: httpx.AsyncClient, tmp_path: Path) -> None:
    file = tmp_path / "chats.jsonl"
    file.write_text(f"{line('one')}\n{{}}\n")
    told = await conversations("import", file)
    assert (told.exit_code, told.stdout) == (1, "1 imported, 0 already there, 1 wrong\n")
    assert told.stderr == f"{file}:2: messages: Field required\n"


async def test_nothing_is_overwritten_or_left_behind(http: httpx.AsyncClient, tmp_path: Path) -> None:
    file = tmp_path / "chats.jsonl"
    assert (
        "no conversation with the title 'None'"
        in (await conversations("export", file, "--conversation", "None")).stderr
    )
    assert not file.exists()
    file.write_text("mine")
    assert "expected a file that does not exist yet" in (await conversations("export", file)).stderr
    assert file.read_text() == "mine"
    assert "No such file" in (await conversations("import", tmp_path / "none")).stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{}".encode("utf-16"), "is UTF-16"),
        ("{}".encode("utf-16-le"), "is UTF-16"),
        (gzip.compress(b"{}", mtime=0), "is compressed"),
        (lzma.compress(b"{}"), "is compressed"),
    ],
)
def test_what_holds_no_lines_is_refused_as_a_whole_and_before_a_server_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, complaint: str
) -> None:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    file = tmp_path / "chats.jsonl"
    file.write_bytes(content)
    for source in (str(file), "-"):
        told = CliRunner().invoke(app, ["conversations", "import", source], input=content)
        assert (told.exit_code, complaint in told.stderr) == (2, True)
    assert not (tmp_path / "home").exists()


def test_no_server_is_started_for_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    runner = CliRunner()
    for command in ("import", "export"):
        told = runner.invoke(app, ["conversations", command, str(tmp_path / "nothing" / "chats.jsonl")])
        assert (told.exit_code, str(tmp_path / "nothing") in told.stderr) == (2, True)
    assert not (tmp_path / "home").exists()

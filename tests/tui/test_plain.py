"""Plain mode: what is on stdout, what is on stderr, and the exit code."""

import asyncio
import io
import signal
from pathlib import Path

import pytest

from chatbot.client import Client, ServerUnreachable
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.tui.fake_server import FakeServer
from tui.plain import run_plain

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.plain.PATIENCE_S", 0.0)


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


async def test_the_last_message_is_answered_anew(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "/retry", "hi", "/retry", "/edit", "/edit ho")
    assert await run_plain(server.url) == 0
    said = capsys.readouterr()
    assert said.out == "Hello there.\n" * 3
    assert said.err.splitlines() == [
        "There is no message to answer anew.",
        "Usage: /edit TEXT, to be answered in the place of your last message.",
    ]
    asked = [(f["input"], f.get("parent_item_id", "-"), f.get("temperature")) for f in server.creates]
    assert asked == [("hi", "-", None), ("hi", None, 0.8), ("ho", None, None)]


async def test_what_was_said_before_a_message_was_changed_is_gone_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "/earlier", "red", "/edit green", "/earlier", "/earlier", "blue", "/later")
    async with live_server(tmp_path, FakeEngine()) as url:
        capsys.readouterr()
        assert await run_plain(url) == 0
        said = capsys.readouterr()
    assert said.out.splitlines() == [
        "you said: red",
        "you said: green",
        "You: red",
        "Assistant: you said: red",
        "you said: blue",
        "You: green",
        "Assistant: you said: green",
    ]
    assert said.err.splitlines() == ["There is no earlier version of a message here."] * 2


async def test_a_chat_that_was_named_to_delete_does_not_take_the_open_one_along(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.add_conversation("Sea", ("a", "b"))
    type_in(monkeypatch, "hi", "/delete Sea")
    assert await run_plain(server.url) == 1
    assert len(server.conversations) == 2
    assert "/delete takes nothing after it, but got “Sea”" in capsys.readouterr().err


async def test_what_was_said_is_found(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.add_conversation("Old", ("my sister sails", "b"))
    server.add_conversation("New", ("a", "b"))
    type_in(monkeypatch, "/search sails my")
    assert await run_plain(server.url) == 0
    assert capsys.readouterr().err == "Old\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/open Sea", "No conversation is called “Sea”; /list shows them."),
        ("/open", "Usage: /open TITLE"),
        ("/rename Sea", "Usage: /rename TITLE, once something was said."),
        ("/delete", "There is nothing to delete yet."),
        ("/persona pirat", "Nobody is called “pirat”. Personas: chatbot-mini, pirate, poet"),
    ],
)
async def test_what_cannot_be_done_is_told_and_fails(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    type_in(monkeypatch, line)
    assert await run_plain(server.url) == 1
    assert capsys.readouterr().err == f"{told}\n"


async def test_a_list_says_what_it_lacks(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "/list")
    assert await run_plain(server.url) == 0
    for number in range(101):
        server.add_conversation(f"Sea {number}", ("a", "b"))
    type_in(monkeypatch, "/list")
    assert await run_plain(server.url) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["There is none.", "Sea 100"]
    assert said[-2:] == ["Sea 1", "(and older ones, which /search WORDS finds)"]


async def test_a_chat_is_written_to_a_file(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    type_in(monkeypatch, "/export", "hi", "/persona pirate", "ho", "/export", "/export a\0b.md", "/export nowhere/x.md")
    assert await run_plain(server.url) == 1
    turns = ("You", "hi", "Assistant", "Hello there.", "You", "ho", "Pirate", "Hello there.")
    said = "\n".join(f"**{name}**\n\n{text}\n" for name, text in zip(turns[::2], turns[1::2], strict=True))
    assert (tmp_path / "hi.md").read_text() == f"# hi\n\n{said}"
    said = capsys.readouterr().err
    assert "There is nothing to export yet." in said
    assert f"Written to {tmp_path / 'hi.md'}" in said
    assert "Nothing was written: 'a\\x00b.md' can be the name of no file" in said
    assert "Nothing was written: [Errno 2]" in said


async def test_lines_are_turns_of_one_conversation(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "one", "", "two")
    assert await run_plain(server.url) == 0
    assert capsys.readouterr() == ("Hello there.\nHello there.\n", "")
    assert len(server.conversations) == 1
    assert [frame["input"] for frame in server.creates] == ["one", "two"]


async def test_a_named_conversation_is_made_by_what_is_said_in_it(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch)
    assert await run_plain(server.url, conversation="Sea") == 0
    assert not server.conversations
    type_in(monkeypatch, "one", "/new", "two")
    assert await run_plain(server.url, conversation="Sea") == 0
    assert [row["title"] for row in server.conversations.values()] == ["Sea", "two"]


async def test_commands_work_without_a_screen(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_conversation("Old")
    type_in(
        monkeypatch,
        *("/rename x", "one", "/rename Sea", "/persona", "/persona Pirate", "/list", "/open Nowhere", "/open ol"),
        *("two", "/delete", "/new", "/help", "/copy", "/renmae", "//three", "/quit", "never"),
    )
    assert await run_plain(server.url, conversation=None) == 0
    out, told = capsys.readouterr()
    assert out == "Hello there.\n" * 3
    for text in ("Usage: /rename", "Now called “Sea”", "Personas: chatbot-mini, pirate, poet", "pirate answers"):
        assert text in told
    for text in ("No conversation is called “Nowhere”", "Now in “Old”", "Deleted", "needs the full screen"):
        assert text in told
    assert "did you mean /rename" in told
    assert [frame["input"] for frame in server.creates] == ["one", "two", "/three"]
    assert server.creates[1].get("model") is None, "a conversation that is opened keeps its own persona"
    assert "Old" not in [row["title"] for row in server.conversations.values()]


async def test_the_last_turn_decides_the_exit_code(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "/bogus")
    assert await run_plain(server.url) == 1
    type_in(monkeypatch, "hi")
    assert await run_plain(NOWHERE) == 3


async def test_a_reply_that_fails_does_not_end_the_talk(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ending = "failed"
    type_in(monkeypatch, "one", "two")
    assert await run_plain(server.url) == 1
    assert capsys.readouterr() == ("Hello there.\n" * 2, "the engine failed\n" * 2)
    assert [frame["input"] for frame in server.creates] == ["one", "two"]


async def test_an_interrupt_stops_the_reply_and_another_leaves_if_it_cannot_be_stopped(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object) -> None:
        raise ServerUnreachable("no server answers")

    async def until_told(text: str) -> None:
        told = ""
        while text not in told:
            await asyncio.sleep(0)
            told += "".join(capsys.readouterr())

    server.gate.clear()
    type_in(monkeypatch, "one", "two")
    talk = asyncio.create_task(run_plain(server.url))
    await until_told("Hello")
    signal.raise_signal(signal.SIGINT)
    await until_told("(incomplete: cancelled)\nHello")
    monkeypatch.setattr(Client, "cancel_response", lost)
    signal.raise_signal(signal.SIGINT)
    await until_told("Not stopped: no server answers")
    signal.raise_signal(signal.SIGINT)
    assert await talk == 130


async def test_input_that_is_no_text_is_read_as_far_as_it_is(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfcaf\xe9\ntwo\n"), encoding="utf-8"))
    assert await run_plain(server.url) == 0
    assert [frame["input"] for frame in server.creates] == ["caf\N{REPLACEMENT CHARACTER}", "two"]


def type_on_a_terminal(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    type_in(monkeypatch, *lines)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)


@pytest.mark.parametrize(
    ("persona", "name"), [("pirate", "Pirate"), ("myPirate", "MyPirate"), ("chatbot-mini", "Assistant")]
)
async def test_a_terminal_shows_who_speaks(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, persona: str, name: str
) -> None:
    server.models.append(("myPirate", True))
    type_on_a_terminal(monkeypatch, f"/persona {persona}", "hi")
    assert await run_plain(server.url) == 0
    assert capsys.readouterr().out == f"You: You: {name}: Hello there.\nYou: \n"


async def test_a_terminal_shows_what_was_said_last(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = server.add_conversation("Sea", ("before", "that"), ("ahoy", "hi"), model="chatbot-mini")
    server._add_item(name, "system", "input_text", "You are a secret agent.")
    type_on_a_terminal(monkeypatch)
    assert await run_plain(server.url, conversation="Sea") == 0
    shown = capsys.readouterr()
    assert shown.out == "You: ahoy\nAssistant: hi\nYou: \n"
    assert "/help" in shown.err


async def test_a_terminal_is_asked_before_a_chat_is_deleted(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_conversation("Sea")
    type_on_a_terminal(monkeypatch, "/delete", "", "/delete", "n")
    assert await run_plain(server.url, conversation="Sea") == 0
    assert "Delete “Sea” for good? [y/N]" in capsys.readouterr().out
    assert [row["title"] for row in server.conversations.values()] == ["Sea"]
    type_on_a_terminal(monkeypatch, "/delete", "y")
    assert await run_plain(server.url, conversation="Sea") == 0
    assert not server.conversations

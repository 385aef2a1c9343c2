"""`ask`: what is on stdout, what is on stderr, and the exit code."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from chatbot.client import Event, Reply
from tests.tui.fake_server import FakeServer
from tui.ask import ask

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.ask.PATIENCE_S", 0.0)


async def test_one_turn_prints_the_reply_and_nothing_else(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.pieces = ["Ahoy\x1b[2J", " there"]
    assert await ask(server.url, "hi") == 0
    assert capsys.readouterr() == ("Ahoy[2J there\n", "")


async def test_a_named_conversation_is_made_once_and_then_found(server: FakeServer) -> None:
    assert await ask(server.url, "one", conversation="Sea", model="pirate") == 0
    assert await ask(server.url, "two", conversation="Sea") == 0
    (conversation,) = server.conversations.values()
    assert (conversation["title"], conversation["model"]) == ("Sea", "pirate")
    assert [frame["conversation"] for frame in server.creates] == ["conv_1", "conv_1"]


async def test_json_is_one_object(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ask(server.url, "hi", as_json=True) == 0
    response = json.loads(capsys.readouterr().out)
    assert response["output"][0]["content"][0]["text"] == "Hello there."


async def test_exit_codes_tell_what_happened(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.ending = "failed"
    assert await ask(server.url, "hi") == 1
    assert "chatbot: the engine failed" in capsys.readouterr().err
    server.pieces = []
    assert await ask(server.url, "hi") == 1
    assert capsys.readouterr() == ("", "chatbot: the engine failed\n")
    server.ending = "incomplete"
    assert await ask(server.url, "hi") == 1
    assert capsys.readouterr().err == "(incomplete: server_restart)\n"
    server.refusal = {"status": 404, "error": {"message": "no persona parrot"}}
    assert await ask(server.url, "hi", model="parrot") == 1
    assert await ask(NOWHERE, "hi") == 3
    assert capsys.readouterr().err.endswith("no server answers at http://127.0.0.1:9; try: chatbot serve\n")


@pytest.mark.parametrize("as_json", [False, True])
async def test_an_interrupt_stops_the_reply_on_the_server(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    server.gate.clear()
    is_read = asyncio.Event()

    def reading(reply: Reply) -> AsyncIterator[Event]:
        is_read.set()
        return read(reply)

    read = Reply.__aiter__
    monkeypatch.setattr(Reply, "__aiter__", reading)
    asking = asyncio.create_task(ask(server.url, "hi", as_json=as_json))
    await is_read.wait()
    asking.cancel()
    assert await asking == 130
    assert server.responses["resp_1"].cancelled.is_set()

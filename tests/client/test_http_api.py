"""Conversations and their items, made, listed and changed over HTTP."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest

from chatbot.client import (
    Client,
    NotFound,
    RequestRejected,
)
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.tui.fake_server import FakeServer

from .conftest import QUICK


async def test_conversations_are_made_renamed_listed_and_deleted(client: Client) -> None:
    made = await client.create_conversation(title="One", model="pirate")
    await client.rename(made["id"], "Two")
    await client.set_model(made["id"], "poet")
    (listed,) = (await client.conversations()).data
    assert (listed["title"], listed["model"]) == ("Two", "poet")
    assert (await client.conversation_titled("Two") or {})["id"] == made["id"]
    await client.delete_conversation(made["id"])
    assert await client.conversation_titled("Two") is None
    with pytest.raises(NotFound):
        await client.items(made["id"])


async def test_text_that_is_no_unicode_is_found_as_it_is_kept(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        made = await client.create_conversation(title="caf\udce9", metadata={"from": "\udce9"})
        assert (made["title"], made["metadata"]) == ("caf\ufffd", {"from": "\ufffd"})
        assert (await client.conversation_titled("caf\udce9") or {})["id"] == made["id"]
        with pytest.raises(NotFound):
            await client.conversation("conv_\udce9")


async def test_a_conversation_begins_with_what_it_is_given_and_forgets_what_is_deleted(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with live_server(tmp_path, engine) as url, Client(url) as client:
        said = [{"role": "user", "content": text} for text in ("one", "two")]
        name = (await client.create_conversation(instructions="Be brief.", items=said))["id"]
        await client.delete_item(name, (await client.items(name)).data[0]["id"])
        await (await client.send("hi", conversation=name)).text()
    assert [message.text for message in engine.requests[0].messages] == ["Be brief.", "two\nhi"]


async def test_a_conversation_whose_answer_was_lost_is_not_made_twice(tmp_path: Path) -> None:
    async with (
        live_server(tmp_path, FakeEngine()) as url,
        losing_one_answer(url, "POST /v1/conversations") as line,
        Client(line, backoff=QUICK) as client,
    ):
        made = await client.create_conversation(title="Once")
        assert [each["id"] for each in (await client.conversations()).data] == [made["id"]]


async def test_a_deletion_whose_answer_was_lost_is_done(tmp_path: Path) -> None:
    async with (
        live_server(tmp_path, FakeEngine()) as url,
        losing_one_answer(url, "DELETE /v1/conversations") as line,
        Client(url) as other,
        Client(line, backoff=QUICK) as client,
    ):
        name = (await other.create_conversation(title="Gone"))["id"]
        await client.delete_conversation(name)
        with pytest.raises(NotFound):
            await client.delete_conversation(name)


async def test_certificates_are_read_for_an_encrypted_line_only_also_if_the_server_moves_to_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = Mock(wraps=ssl.create_default_context)
    monkeypatch.setattr(ssl, "create_default_context", read)
    async with Client("http://a.example") as client:
        client._opened()
        assert not read.called
        client._connection.url = "https://a.example"
        client._opened()
        assert read.called


@asynccontextmanager
async def losing_one_answer(url: str, wanted: str) -> AsyncIterator[str]:
    """A line to a server that breaks once, when the answer to such a request comes."""
    there, lost = httpx.URL(url), list[bytes]()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, beginning: bytes) -> None:
        with contextlib.closing(writer):
            while beginning:
                writer.write(beginning)
                beginning = await reader.read(65536)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read(65536)
        behind, ahead = await asyncio.open_connection(there.host, there.port)
        sending = asyncio.create_task(pipe(reader, ahead, asked))
        answer = await behind.read(65536)
        if asked.startswith(wanted.encode()) and not lost:
            lost.append(answer)
            writer.transport.abort()
        else:
            await pipe(behind, writer, answer)
        await sending

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as line:
        yield f"http://127.0.0.1:{line.sockets[0].getsockname()[1]}"
    assert lost


async def test_what_was_not_done_is_not_taken_for_done(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, Client(url) as client:
        with pytest.raises(RequestRejected, match="status 307"):
            await client.delete_conversation("")


async def test_what_is_too_long_for_an_address_is_refused_before_it_is_sent(client: Client) -> None:
    with pytest.raises(RequestRejected, match="cannot be asked for: URL component 'query' too long"):
        await client.conversations(search="漢" * 7300)


async def test_items_come_in_pages(client: Client, server: FakeServer) -> None:
    name = server.add_conversation("Long", ("a", "b"), ("c", "d"))
    page = await client.items(name, order="desc", limit=3)
    assert [item["content"][0]["text"] for item in page.data] == ["d", "c", "b"]
    rest = await client.items(name, order="desc", limit=3, after=page.last_id)
    assert (len(rest.data), rest.has_more) == (1, False)

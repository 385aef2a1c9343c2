"""The client against the real server with a scripted engine: what the fake server promises is what is true."""

from pathlib import Path

from adapters.formats import RawRow, read_rows
from chatbot.client import Client
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.tui.screens import say, until, until_shown
from tui.app import ChatApp


async def test_a_turn_a_stop_and_a_restart_on_the_screen(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with live_server(tmp_path, engine) as url:
        async with ChatApp(url).run_test(size=(110, 30)) as pilot:
            await say(pilot, "hello")
            await until_shown(pilot, "you said: hello", "context ", "live")
            engine.free = 2
            await say(pilot, "again")
            await until_shown(pilot, "writing…", "you said:\n")
            await pilot.press("escape")
            await until_shown(pilot, "(stopped)")
            await say(pilot, f"/export {(talk := tmp_path / 'talk.jsonl')}")
            await until(pilot, lambda: talk.exists() and talk.stat().st_size)
            (row,) = read_rows(talk)
            assert isinstance(row, RawRow)
            assert [turn.text for turn in row.turns] == ["hello", "you said: hello"]  # what was stopped is not learned
        async with ChatApp(url).run_test(size=(110, 30)) as pilot:
            await until_shown(pilot, "you said: hello", "(stopped)", "hello\n")
            await say(pilot, "/delete")
            await until_shown(pilot, "for good?")
            await pilot.press("y")
            await until_shown(pilot, "Say hello.")


async def test_resume_in_the_middle_and_idempotent_sends(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.free = 2
    async with live_server(tmp_path, engine) as url, Client(url) as client:
        conversation = (await client.create_conversation(title="Sea"))["id"]
        reply = await client.send("one two three", conversation=conversation, idempotency_key="k1")
        stream = reply.text_stream()
        assert [await anext(stream), await anext(stream)] == ["you", " said:"]
        async with Client(url) as second:
            again = await second.send("one two three", conversation=conversation, idempotency_key="k1")
            assert again.id == reply.id
            assert client._connection._socket is not None
            await client._connection._socket.close()
            engine.gate.set()
            assert "".join([delta async for delta in stream]) == " one two three"
            assert await again.text() == "you said: one two three"
        page = await client.items(conversation)
        assert [item["role"] for item in page.data] == ["user", "assistant"]


async def test_a_server_that_comes_back_settles_what_it_broke_off(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.free = 2
    urls: list[str] = []

    async def ensure() -> str:
        return urls[-1]

    async with live_server(tmp_path, engine) as url:
        app = ChatApp(url, ensure=ensure)
        pilot_context = app.run_test(size=(110, 30))
        pilot = await pilot_context.__aenter__()
        await say(pilot, "hello")
        await until_shown(pilot, "writing…", "you said:")
    await until(pilot, lambda: app.session.state.connection == "lost" or "interrupted" in str(app.session.state))
    async with live_server(tmp_path, FakeEngine()) as url:
        urls.append(url)
        await until_shown(pilot, "interrupted", "you said:", "live")
        await say(pilot, "more")
        await until_shown(pilot, "you said: more")
        await pilot_context.__aexit__(None, None, None)

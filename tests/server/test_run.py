import asyncio
import os
import shutil
import signal
import socket
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest

from adapters import published
from adapters.store import AdapterStore
from chatbot.server.announcement import Announced, Announcement, CannotAnnounce
from chatbot.server.edition import edition
from chatbot.server.run import CannotServe, bind, check_exposure, serve
from chatbot.server.takeover import make_way
from chatbot.settings import Settings
from storage.errors import StorageLocked
from tests.fake_engine import FakeEngine
from tests.live_server import live_server
from tests.server.processes import CHATBOT, SCRIPTED, START_TIMEOUT_S, server_process
from tests.server.socket_client import frames
from tests.tiny import make_tiny_adapter, make_tiny_model


async def test_a_stopping_server_finishes_what_it_is_saying(tmp_path: Path) -> None:
    with server_process(tmp_path, *SCRIPTED) as server:
        async with frames(server.url()) as socket:
            await socket.send(type="response.create", input="hi", max_output_tokens=60)
            await socket.until("response.output_text.delta")
            server.process.terminate()
            last = (await socket.until("response.completed"))[-1]
        assert await asyncio.to_thread(server.process.wait, 30) == 0
    assert last["response"]["output"][0]["content"][0]["text"].endswith("word59 ")
    assert Announcement(Settings(home=tmp_path).state_dir).read() is None


@pytest.mark.parametrize(
    ("drain_s", "interrupts"), [(0, 1), (60, 2)], ids=["at the limit of its patience", "at a second interrupt"]
)
async def test_a_reply_that_is_cut_off_is_told_to_its_reader_and_kept(
    tmp_path: Path, drain_s: float, interrupts: int
) -> None:
    engine = FakeEngine()
    engine.free = 1
    async with live_server(tmp_path, engine, drain_s=drain_s) as url, frames(url) as socket:
        await socket.send(type="response.create", input="hi")
        await socket.until("response.output_text.delta")
        for _ in range(interrupts):
            signal.raise_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            told = (await socket.until("response.incomplete"))[-1]["response"]
    async with live_server(tmp_path, FakeEngine()) as url, httpx.AsyncClient(base_url=url, verify=False) as http:
        kept = (await http.get(f"/v1/responses/{told['id']}")).json()
    assert (kept["status"], kept["incomplete_details"]) == ("incomplete", {"reason": "server_restart"})
    assert kept["output"][0]["content"][0]["text"] == "you"
    assert told["output"] == kept["output"]


async def test_a_server_that_nobody_uses_goes_away_by_itself(tmp_path: Path) -> None:
    with server_process(tmp_path, *SCRIPTED, CHATBOT_IDLE_EXIT_S="0.3") as server:
        assert await asyncio.to_thread(server.process.wait, START_TIMEOUT_S) == 0
    assert "stopping, nobody is here" in (tmp_path / "server.log").read_text()


async def test_a_second_server_on_the_same_data_is_refused_before_it_makes_an_engine(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()):
        with pytest.raises(StorageLocked):
            await serve(Settings(home=tmp_path, port=0), Mock(side_effect=AssertionError))


async def test_a_server_started_by_hand_takes_the_place_of_one_in_the_background(tmp_path: Path) -> None:
    with server_process(tmp_path, *SCRIPTED, "--background") as behind:
        async with frames(behind.url()) as socket:
            await socket.send(type="response.create", input="hi", max_output_tokens=60)
            await socket.until("response.output_text.delta")
            with server_process(tmp_path, *SCRIPTED) as before:
                await socket.until("response.completed")
                url = await asyncio.to_thread(before.url)  # though nobody has waited for the one that ended
                assert await asyncio.to_thread(behind.process.wait, 30) == 0
                with server_process(tmp_path, *SCRIPTED, "--background") as late:
                    assert await asyncio.to_thread(late.process.wait, START_TIMEOUT_S) == 1
                async with httpx.AsyncClient(base_url=url, verify=False) as http:
                    assert (await http.get("/ready")).is_success


@pytest.mark.parametrize(("program", "makes_way"), [((), True), (edition(), False), ((99,), False)])
async def test_a_server_in_the_background_makes_way_for_another_only_after_an_upgrade(
    tmp_path: Path, program: tuple[int, ...], makes_way: bool
) -> None:
    settings = Settings(home=tmp_path)
    settings.data_dir.mkdir(parents=True)
    behind = await asyncio.create_subprocess_exec("sleep", "60")
    with Announcement(settings.state_dir).made(Announced("http://a", behind.pid, True, program)):
        locked = StorageLocked("held", behind.pid)
        assert await make_way(settings, locked, is_background=True) is makes_way
        assert await make_way(settings, locked, is_background=False)
    assert await behind.wait() == -signal.SIGTERM


async def test_a_server_that_cannot_find_its_model_lets_the_one_in_the_background_be(tmp_path: Path) -> None:
    with server_process(tmp_path, *SCRIPTED, "--background") as behind:
        url = behind.url()
        with server_process(tmp_path, *CHATBOT, "--model", str(tmp_path / "nothing")) as mistyped:
            assert await asyncio.to_thread(mistyped.process.wait, START_TIMEOUT_S) == 2
        async with httpx.AsyncClient(base_url=url, verify=False) as http:
            assert (await http.get("/ready")).is_success


async def test_a_server_whose_database_was_replaced_acknowledges_nothing_and_stops(tmp_path: Path) -> None:
    with server_process(tmp_path, *SCRIPTED) as server:
        url = server.url()
        database = Settings(home=tmp_path).database_path
        os.replace(shutil.copy(database, tmp_path / "copy.db"), database)
        async with httpx.AsyncClient(base_url=url, verify=False) as http:
            answer = await http.post("/v1/conversations", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_failed")
        assert await asyncio.to_thread(server.process.wait, 30) == 1


async def test_a_server_that_no_client_could_find_does_not_start(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=0)
    (settings.state_dir / "server.json").mkdir(parents=True)
    with pytest.raises(CannotAnnounce, match=r"server.json: expected a file to write"):
        await serve(settings, FakeEngine)
    assert [path.name for path in settings.state_dir.iterdir()] == ["server.json"]


async def test_conversations_outlive_the_server(tmp_path: Path) -> None:
    async with live_server(tmp_path, FakeEngine()) as url, httpx.AsyncClient(base_url=url, verify=False) as http:
        conversation = (await http.post("/v1/conversations", json={})).json()["id"]
        await http.post("/v1/responses", json={"input": "my name is Mira", "conversation": conversation})
    engine = FakeEngine()
    async with live_server(tmp_path, engine) as url, httpx.AsyncClient(base_url=url, verify=False) as http:
        await http.post("/v1/responses", json={"input": "who am I?", "conversation": conversation})
    assert [message.text for message in engine.requests[0].messages[1:]] == [
        "my name is Mira",
        "you said: my name is Mira",
        "who am I?",
    ]


async def test_personas_are_hashed_before_the_server_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(folder: Path, version: int) -> None:
        shutil.copytree(
            make_tiny_adapter(make_tiny_model(tmp_path / "base"), tmp_path / "made", seed=0), folder, dirs_exist_ok=True
        )

    AdapterStore([Settings(home=tmp_path).adapters_dir]).publish("corsair", fill)
    async with live_server(tmp_path, FakeEngine()) as url, httpx.AsyncClient(base_url=url, verify=False) as http:
        monkeypatch.setattr(published, "adapter_folder_digest", Mock(side_effect=AssertionError("hashed late")))
        listed = (await http.get("/v1/models")).json()["data"]
    assert "corsair" in [model["id"] for model in listed]


async def test_what_was_not_to_be_stored_does_not_survive_a_crash(tmp_path: Path) -> None:
    with server_process(tmp_path, *SCRIPTED) as server:
        async with frames(server.url()) as socket:
            await socket.send(type="response.create", input="secret", store=False)
            created = (await socket.until("response.output_text.delta"))[0]
            server.kill()
    with server_process(tmp_path, *SCRIPTED) as server:
        async with httpx.AsyncClient(base_url=server.url(), verify=False) as http:
            answer = await http.get(f"/v1/responses/{created['response']['id']}")
    assert answer.status_code == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_only_loopback_may_be_served_without_a_key(tmp_path: Path, host: str) -> None:
    with pytest.raises(CannotServe, match="a key is needed"):
        await serve(Settings(home=tmp_path, host=host, port=0), Mock(side_effect=AssertionError))
    check_exposure(Settings(host=host, api_key="k"), "0.0.0.0")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_loopback_needs_no_key(host: str) -> None:
    settings = Settings(host=host, port=0)
    with bind(settings) as bound:
        check_exposure(settings, bound.getsockname()[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_what_is_sent_does_not_wait_for_the_receipt_of_what_was_sent_before(host: str) -> None:
    waits = asyncio.get_running_loop().create_future()

    def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waits.set_result(not writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(met, sock=bind(Settings(host=host, port=0))) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        assert not await waits
        writer.close()


@pytest.mark.parametrize(
    ("host", "why"),
    [("127.0.0.l", "no such address"), ("a" * 70 + ".example", "no such address"), ("192.0.2.1", "not one of this")],
)
def test_an_address_that_this_machine_does_not_have_is_told_as_such(host: str, why: str) -> None:
    with pytest.raises(CannotServe, match=f"cannot bind to {host}:0: .*{why}"):
        bind(Settings(host=host, port=0))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 1}', '{"url": "http://x", "pid": "many"}'])
def test_a_broken_announcement_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    assert Announcement(tmp_path).read() is None


def test_an_announcement_is_taken_back_only_by_its_maker(tmp_path: Path) -> None:
    announcement = Announcement(tmp_path)
    with announcement.made(Announced("http://a", 1)):
        with announcement.made(Announced("http://b", 2, is_background=True)):
            assert announcement.read() == Announced("http://b", 2, is_background=True)
        assert announcement.read() is None

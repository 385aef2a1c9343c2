"""kill -9 in the middle of an answer, again and again: what was acknowledged is there once, and the chat goes on.

Five cycles here; `python -m tests.server.test_crash 1000` runs as many as it is told.
"""

import asyncio
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed

from tests.server.processes import CHATBOT, SCRIPTED, START_TIMEOUT_S, ServerProcess, server_process
from tests.server.socket_client import frames
from tests.tiny import make_tiny_model

LONG = {"max_output_tokens": 400, "temperature": 1.0, "seed": 1}


@dataclass
class Ledger:
    """What the client was told: the only things that the server owes it."""

    acknowledged: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Sent, but cut off before an answer: may be there once, or not at all."""


async def say_until_killed(server: ServerProcess, conversation: str, cycle: int, ledger: Ledger) -> None:
    """Say something, and kill the server a random number of events later."""
    text = f"message {cycle}"
    deltas = random.Random(cycle).randrange(0, 12)
    try:
        async with frames(server.url()) as socket:
            await socket.send(
                type="response.create", input=text, conversation=conversation, idempotency_key=text, **LONG
            )
            if deltas == 0:
                ledger.unknown.append(text)
                server.kill()
                return
            await socket.until("response.created")
            ledger.acknowledged.append(text)
            for _ in range(deltas):
                await socket.read()
            server.kill()
    except ConnectionClosed:
        pass


def items_of(url: str, conversation: str) -> list[dict[str, Any]]:
    path = f"{url}/v1/conversations/{conversation}/items"
    data: list[dict[str, Any]] = httpx.get(path, params={"order": "asc", "limit": "1000"}, verify=False).json()["data"]
    return data


def check(items: list[dict[str, Any]], ledger: Ledger) -> None:
    said = [item["content"][0]["text"] for item in items if item["role"] == "user"]
    assert len(said) == len(set(said)), "a message is there twice"
    assert set(ledger.acknowledged) <= set(said), "an acknowledged message is lost"
    assert set(said) <= {*ledger.acknowledged, *ledger.unknown}
    assert said == sorted(said, key=lambda text: int(text.split()[1])), "messages are out of order"
    assert [item["role"] for item in items] == ["user", "assistant"] * len(said)
    assert {item["status"] for item in items if item["role"] == "assistant"} <= {"incomplete", "completed"}


def crash_cycles(home: Path, cycles: int, *module: str) -> None:
    """Kill a server in mid-answer this many times, and check after each what it still knows."""
    ledger, conversation = Ledger(), ""
    for cycle in range(cycles):
        with server_process(home, *module) as server:
            if not conversation:
                conversation = httpx.post(f"{server.url()}/v1/conversations", json={}, verify=False).json()["id"]
            check(items_of(server.url(), conversation), ledger)
            asyncio.run(say_until_killed(server, conversation, cycle, ledger))
    with server_process(home, *module) as server:
        items = items_of(server.url(), conversation)
        check(items, ledger)
        assert any(item["status"] == "incomplete" for item in items)
        turn = {"input": f"message {cycles}", "conversation": conversation, "max_output_tokens": 4}
        answer = httpx.post(f"{server.url()}/v1/responses", json=turn, timeout=START_TIMEOUT_S, verify=False).json()
        assert answer["status"] in ("completed", "incomplete")
        assert answer["error"] is None
        assert server.stop() == 0


def test_five_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    crash_cycles(tmp_path, 5, *SCRIPTED)


def test_a_server_with_a_real_engine_is_killed_and_goes_on(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model", context_tokens=2048)
    crash_cycles(tmp_path / "home", 1, *CHATBOT, "--model", str(model))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        crash_cycles(Path(scratch), int(sys.argv[1]), *SCRIPTED)

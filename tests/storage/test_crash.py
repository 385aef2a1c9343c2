"""kill -9 at any moment: what was acknowledged is there, once; what was not is whole or absent."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

from storage import Store
from storage.integrity import problems_in

CYCLES = 5
ROOT = Path(__file__).parents[2]


def run_until_killed(database: Path, cycle: int) -> list[tuple[str, str]]:
    """Acknowledgements that a server process printed before it was killed."""
    command = [sys.executable, "-m", "tests.storage.crash_server", str(database), str(cycle)]
    wanted = random.Random(cycle).randrange(20, 120)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(wanted)]
        process.send_signal(signal.SIGKILL)
        # What it had printed before it died counts too, but for a line cut in two.
        lines += [line for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    return [(kind, name) for kind, name in (line.split() for line in lines)]


async def test_acknowledged_means_stored_once(database: Path) -> None:
    acknowledged: list[tuple[str, str]] = []
    for cycle in range(CYCLES):
        acknowledged += await asyncio.to_thread(run_until_killed, database, cycle)
    assert len(acknowledged) >= 20 * CYCLES

    store = await Store.open(database)
    await store.interrupt_unfinished()
    for kind, name in acknowledged:
        response = await store.response(f"resp_{name}")
        if kind == "checkpointed":
            assert response.text.startswith("so far")
        if kind == "completed":
            assert (response.state, response.text) == ("completed", "so far so good")
    for conversation in await store.conversations():
        items = await store.items(conversation.id)
        assert [item.position for item in items] == list(range(len(items)))
        assert [item.role for item in items] == ["user", "assistant"] * (len(items) // 2)
        assert {item.status for item in items} <= {"completed", "incomplete"}
    assert await store.interrupt_unfinished() == []
    await store.close()
    assert problems_in(database) == []

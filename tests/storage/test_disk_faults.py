"""Real failing system calls, injected by strace: nothing is acknowledged that is not stored."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storage import Store
from tests.storage.worlds import ids

ROOT = Path(__file__).parents[2]

WRITE_UNTIL_BROKEN = """
import asyncio, sys
from pathlib import Path
from storage import Store
from storage.errors import StorageError
from tests.storage.worlds import user

async def main():
    store = await Store.open(Path(sys.argv[1]))
    for number in range(40):
        try:
            await store.append_items("conv_1", [user(str(number))])
            print("stored", f"msg_{number}")
        except StorageError as error:
            print("refused", type(error).__name__)
    await store.close()

asyncio.run(main())
"""


def write_until_broken(database: Path, fault: str) -> list[list[str]]:
    """Answers to forty writes while system calls on the WAL fail."""
    wal = f"{database}-wal"
    trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", wal, "-e", f"inject={fault}"]
    command = [*trace, sys.executable, "-c", WRITE_UNTIL_BROKEN, str(database)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "ptrace" in run.stderr.lower():
        pytest.skip("strace may not trace here")
    assert run.returncode == 0, run.stderr
    return [line.split() for line in run.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to make system calls fail")
@pytest.mark.parametrize(
    ("fault", "error", "goes_on"),
    [("fdatasync:error=EIO:when=9", "StorageBroken", False), ("pwrite64:error=ENOSPC:when=40", "StorageFull", True)],
)
async def test_a_failing_disk_never_acknowledges(database: Path, fault: str, error: str, goes_on: bool) -> None:
    store = await Store.open(database)
    await store.create_conversation("conv_1")
    await store.close()

    answers = await asyncio.to_thread(write_until_broken, database, fault)
    stored = [name for kind, name in answers if kind == "stored"]
    refused = [name for kind, name in answers if kind == "refused"]
    assert len(answers) == 40
    assert set(refused) == {error}
    assert (answers[-1][0] == "stored") is goes_on

    store = await Store.open(database)
    assert ids(await store.items("conv_1")) == stored
    await store.close()

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner, Result

from chatbot.cli.program import app
from chatbot.server.launch import ALREADY_SERVED
from storage import Store, copies
from storage.lock import DatabaseLock
from tests.storage.worlds import content, damage_items, user, write


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data" / "chats.db"


def db(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["db", *map(str, arguments)])


async def said(database: Path) -> list[str]:
    store = await Store.open(database)
    texts = [item.text for item in await store.items("conv_1")]
    await store.close()
    return texts


async def test_a_copy_of_a_database_in_use_brings_back_what_was_said_until_then(database: Path, tmp_path: Path) -> None:
    copy, crashed = tmp_path / "copy.db", tmp_path / "crashed"
    store = await Store.open(database)
    await store.create_conversation("conv_1", items=[user("a")])
    assert db("backup", copy).exit_code == 0
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    await store.append_items("conv_1", [user("b")])
    refused = db("restore", copy)
    assert refused.exit_code == ALREADY_SERVED
    assert "expected to be the only server" in refused.output
    shutil.copytree(database.parent, crashed)  # its WAL holds the second message
    await store.close()
    shutil.rmtree(database.parent)
    os.rename(crashed, database.parent)

    restored = db("restore", copy)
    assert restored.exit_code == 0, restored.output
    assert await said(database) == ["text of a"]
    assert db("restore", copy).exit_code == 0
    with closing(sqlite3.connect(database.with_name("chats.db.replaced-1"))) as replaced:
        assert replaced.execute("SELECT count(*) FROM items").fetchone() == (2,)


async def test_a_database_behind_a_link_is_restored_where_it_is_and_not_under_a_server(
    database: Path, tmp_path: Path
) -> None:
    copy, real = tmp_path / "copy.db", tmp_path / "elsewhere.db"
    store = await Store.open(real)
    await store.create_conversation("conv_1", items=[user("a")])
    database.parent.mkdir(parents=True)
    os.symlink(real, database)
    assert db("backup", copy).exit_code == 0
    await store.append_items("conv_1", [user("b")])
    assert DatabaseLock.is_held(database)
    assert "expected to be the only server" in db("restore", copy).output
    await store.close()
    assert db("restore", copy).exit_code == 0
    assert os.readlink(database) == str(real)
    assert await said(real) == ["text of a"]


async def test_a_copy_is_restored_where_there_is_no_database_yet(database: Path, tmp_path: Path) -> None:
    store = await Store.open(database)
    await store.create_conversation("conv_1", items=[user("a")])
    await store.close()
    db("backup", tmp_path / "copy.db")
    shutil.rmtree(database.parent)
    assert db("restore", tmp_path / "copy.db").exit_code == 0
    assert await said(database) == ["text of a"]


async def test_damage_is_found_and_not_restored(database: Path, tmp_path: Path) -> None:
    store = await Store.open(database)
    await store.create_conversation("conv_1", items=[user("a")])
    await store.close()
    assert db("check").output == f"{database}: sound\n"
    damaged = tmp_path / "damaged.db"
    shutil.copy(database, damaged)
    damage_items(damaged)
    refused = db("restore", damaged)
    assert (refused.exit_code, "the database is damaged" in refused.output) == (2, True)
    assert await said(database) == ["text of a"]
    damage_items(database)
    found = db("check")
    assert (found.exit_code, "the database is damaged" in found.output) == (1, True)


async def test_a_byte_that_is_not_utf8_costs_a_letter_and_is_found(database: Path, tmp_path: Path) -> None:
    store = await Store.open(database)
    await store.create_conversation("conv_1", items=[user("a"), user("b")])
    await store.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE items SET text = CAST(x'61ff' AS TEXT) WHERE id = 'msg_a'")
    found = db("check")
    assert (found.exit_code, "but found 1 with other bytes (msg_a)" in found.output) == (1, True)
    assert db("backup", tmp_path / "copy.db").exit_code == 0
    assert db("restore", tmp_path / "copy.db").exit_code == 0
    assert await said(database) == ["a\ufffd", "text of b"]


def test_what_is_no_copy_is_refused_by_name(database: Path, tmp_path: Path) -> None:
    for data, why in ((b"", "it is empty"), (b"x" * 5000, "not a SQLite database")):
        other = tmp_path / "other"
        other.write_bytes(data)
        refused = db("restore", other)
        assert (refused.exit_code, str(other) in refused.output, why in refused.output) == (2, True, True)
    database.parent.mkdir(parents=True)
    database.touch()
    for command in (("check",), ("backup", tmp_path / "copy.db")):
        refused = db(*command)
        assert (refused.exit_code, "it is empty" in refused.output) == (1, True)
    database.unlink()
    for command, code in ((("check",), 1), (("backup", tmp_path / "copy.db"), 1), (("restore", tmp_path / "none"), 2)):
        refused = db(*command)
        assert (refused.exit_code, "there is no such file" in refused.output) == (code, True)
    refused = db("restore", tmp_path)
    assert (refused.exit_code, "this is no file" in refused.output) == (2, True)


async def test_a_copy_is_written_where_that_can_be_told_from_the_message(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await (await Store.open(database)).close()
    (tmp_path / "link").symlink_to("nowhere")
    assert db("backup", "link").output == "link: expected a file that does not exist yet; choose another name\n"
    assert db("backup", "nowhere/copy").output == "nowhere: no such folder; make it, or name another\n"
    assert db("backup", "-").exit_code == 2
    assert "expected a name in UTF-8" in db("backup", "copy\udcff").output
    write(tmp_path / "copy.partial", b"notes")
    assert db("backup", "copy").output.startswith("copy.partial: expected no such file yet")
    assert content(tmp_path / "copy.partial") == b"notes"
    assert not (tmp_path / "copy").exists()


async def test_a_full_disk_is_told_with_what_to_do(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    await (await Store.open(database)).close()
    shutil.copy(database, tmp_path / "old.db")
    monkeypatch.setattr(copies, "write_copy", Mock(side_effect=full))
    for command, file, written in (("backup", "copy.db", tmp_path / "copy.db"), ("restore", "old.db", database)):
        told = db(command, tmp_path / file).output
        assert told == f"{written}: the disk is full; free some space and run it again\n"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered_is_told(database: Path) -> None:
    database.parent.mkdir(parents=True)
    database.parent.chmod(0)
    assert db("check").output == f"{database}: expected a database, but Permission denied\n"
    database.parent.chmod(0o700)

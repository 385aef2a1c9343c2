"""The compiled code is made once for a machine, never loaded from where others could put it, and not missed."""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest
from structlog.testing import capture_logs

from chatbot.engine.compiled import library
from chatbot.engine.compiled.library import NotCompiled, load
from chatbot.engine.local import LocalEngine
from tests.engine.alone import Alone
from tests.engine.talk import GREEDY, ask, says


@pytest.fixture(autouse=True)
def _not_loaded_yet() -> Iterator[None]:
    load.cache_clear()
    yield
    load.cache_clear()


def made(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library that was made where the group may write what is not protected."""
    folder = tmp_path_factory.mktemp("compiled") / "made"
    before = os.umask(0o002)
    try:
        load(folder)
    finally:
        os.umask(before)
    return folder


@pytest.fixture
def folder(compiled: Path, tmp_path: Path) -> Path:
    return copytree(compiled, tmp_path / "made")


def test_what_was_compiled_is_found_again(folder: Path) -> None:
    (first,) = made(folder)
    written = first.stat().st_mtime_ns
    assert load(folder).panel_outputs() >= 8
    assert made(folder) == [first]
    assert first.stat().st_mtime_ns == written


def test_another_source_is_compiled_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in library.SOURCE.parent.glob("*.[ch]"):
        (source / path.name).write_bytes(path.read_bytes())
    (source / "numbers.h").write_text((source / "numbers.h").read_text("utf-8") + "\n/* changed */\n", "utf-8")
    monkeypatch.setattr(library, "SOURCE", source / "forward.c")
    load(folder)
    assert len(made(folder)) == 2


def test_nothing_is_left_behind_without_a_folder() -> None:
    assert load().panel_outputs() >= 8


@pytest.mark.parametrize(
    ("compiler", "why"), [("no-such-compiler", "no C compiler called 'no-such"), ("false", "false"), ('"', "quotation")]
)
def test_a_missing_or_failing_compiler_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, why: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(NotCompiled, match=why):
        load(tmp_path)
    assert made(tmp_path) == []


def test_a_compiler_that_knows_no_threads_computes_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "simple-cc"
    compiler.write_text('#!/bin/sh\ncase "$*" in *-fopenmp\\ *) exit 1;; esac\nexec cc "$@"\n', "utf-8")
    compiler.chmod(0o700)
    monkeypatch.setenv("CC", str(compiler))
    assert load(tmp_path / "made").panel_outputs() >= 8
    (path,) = made(tmp_path / "made")
    assert b"GOMP_parallel" not in path.read_bytes()


def test_the_compilers_own_words_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "FLAGS", (*library.FLAGS, "-fno-such-flag"))
    with pytest.raises(NotCompiled, match="fno-such-flag"):
        load(tmp_path)
    assert made(tmp_path) == []


def test_code_that_others_could_have_written_is_not_loaded(folder: Path) -> None:
    (path,) = made(folder)
    path.chmod(0o666)
    assert load(folder).panel_outputs() >= 8
    (path,) = made(folder)
    assert path.stat().st_mode & 0o022 == 0


def test_nothing_is_loaded_that_belongs_to_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(NotCompiled, match="can be written by others"):
        load(folder)


@pytest.mark.parametrize(("place", "why"), [(".", "can be written by others"), ("file/made", "Not a directory")])
def test_where_nothing_can_be_kept_it_is_compiled_for_this_process(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, why: str
) -> None:
    once = load(compiled)
    monkeypatch.setattr(library, "_load_once", lambda: once)
    (tmp_path / "file").touch()
    tmp_path.chmod(0o777)
    with capture_logs() as log:
        assert load(tmp_path / place) is once
    assert [(line["event"], why in line["reason"]) for line in log] == [("engine.compiled_code_not_kept", True)]
    assert made(tmp_path) == [tmp_path / "file"]


def test_a_file_that_is_cut_short_is_made_anew(folder: Path) -> None:
    """Loading it would kill the process."""
    (path,) = made(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert load(folder).panel_outputs() >= 8
    assert [file.stat().st_size for file in made(folder)] == [len(whole)]


async def test_without_a_compiler_the_engine_says_the_same(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    engine = LocalEngine(tiny, slots=2, threads=1)
    await engine.start()
    try:
        reply = await ask(engine, says("hello"))
    finally:
        await engine.stop()
    assert reply.text == Alone(tiny).reply(says("hello"), GREEDY.max_tokens)

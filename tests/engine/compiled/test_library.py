"""The compiled code is made once for a machine, never loaded from where others could put it, and not missed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_what_was_compiled_is_found_again(tmp_path: Path) -> None:
    assert load(tmp_path).panel_outputs() >= 8
    (first,) = made(tmp_path)
    written = first.stat().st_mtime_ns
    load.cache_clear()
    load(tmp_path)
    assert made(tmp_path) == [first]
    assert first.stat().st_mtime_ns == written


def test_another_source_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, source = tmp_path / "made", tmp_path / "source"
    load(folder)
    source.mkdir()
    for path in library.SOURCE.parent.glob("*.[ch]"):
        (source / path.name).write_bytes(path.read_bytes())
    (source / "numbers.h").write_text((source / "numbers.h").read_text("utf-8") + "\n/* changed */\n", "utf-8")
    monkeypatch.setattr(library, "SOURCE", source / "forward.c")
    load.cache_clear()
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


def test_code_that_others_could_have_written_is_not_loaded(tmp_path: Path) -> None:
    load(tmp_path)
    load.cache_clear()
    (path,) = made(tmp_path)
    path.unlink()  # it is loaded
    path.write_bytes(b"theirs")
    path.chmod(0o666)
    assert load(tmp_path).panel_outputs() >= 8
    assert path.stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("is_foreign", [True, False])
def test_nothing_is_kept_where_others_could_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_foreign: bool
) -> None:
    if is_foreign:
        monkeypatch.setattr("os.getuid", lambda: 12345)
    else:
        tmp_path.chmod(0o777)
    with pytest.raises(NotCompiled, match="can be written by others"):
        load(tmp_path)


def test_a_broken_file_is_made_anew(tmp_path: Path) -> None:
    load(tmp_path / "whole")
    (path,) = made(tmp_path / "whole")
    broken = tmp_path / "broken"
    broken.mkdir(mode=0o700)
    (broken / path.name).write_bytes(b"not a library")
    assert load(broken).panel_outputs() >= 8
    assert [file.stat().st_size for file in made(broken)] == [path.stat().st_size]


async def test_without_a_compiler_the_engine_says_the_same(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    engine = LocalEngine(tiny, slots=2, threads=1)
    await engine.start()
    try:
        reply = await ask(engine, says("hello"))
    finally:
        await engine.stop()
    assert reply.text == Alone(tiny).reply(says("hello"), GREEDY.max_tokens)

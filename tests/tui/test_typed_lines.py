"""What is read of stdin, and when."""

import asyncio
import io
import threading

import pytest

from tui.typed_lines import TypedLines


async def test_no_line_is_read_before_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin, others = io.StringIO("one\ntwo\nthree\n"), threading.active_count()
    monkeypatch.setattr("sys.stdin", stdin)
    assert await TypedLines().next("") == "one\n"
    while threading.active_count() > others:
        await asyncio.sleep(0)
    assert stdin.read() == "two\nthree\n"

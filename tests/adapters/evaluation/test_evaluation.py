"""Everybody is asked the same, and only what fits the window."""

from pathlib import Path

import pytest

from adapters.errors import BadData
from adapters.evaluation.evaluation import evaluate
from adapters.evaluation.report import report
from adapters.evaluation.translation import Pair
from adapters.store import AdapterFolder
from chatbot.engine.base import ChatMessage
from tests.fake_engine import FakeEngine


def persona(system: str) -> AdapterFolder:
    return AdapterFolder("pirate", 1, Path("pirate"), "d1", None, system=system)


def pair(*texts: str, system: str | None = None) -> Pair:
    head = [ChatMessage("system", system)] if system else []
    return Pair((*head, *(ChatMessage("user", text) for text in texts)), "bonjour", "French", Path("test.jsonl"), 7)


async def test_a_question_that_is_too_long_with_a_persona_is_asked_nobody() -> None:
    engine = FakeEngine(context_tokens=1000)
    found = await evaluate(engine, [persona("word " * 940)], 1, lambda _line: None)
    assert max(map(engine.count_tokens, (request.messages for request in engine.requests))) <= 1000 - 80
    shown = found.personas["pirate@v1"]
    assert [figures.right["recall, 1 turn, known wording"] for figures in (found.base, shown.figures)] == [None, None]
    assert "recall" not in shown.drop
    assert shown.voice is None
    assert report(found).splitlines()[1].split()[-2:] == ["-", "-"]


async def test_a_pair_that_is_too_long_is_told_before_anything_is_asked() -> None:
    engine = FakeEngine(context_tokens=1000)
    with pytest.raises(BadData, match=r"test\.jsonl:7: 5 tokens too long for pirate@v1"):
        await evaluate(engine, [persona("two words")], 1, lambda _line: None, [pair("word " * 921)])
    assert engine.requests == []


async def test_a_pair_keeps_its_own_system_message() -> None:
    engine = FakeEngine(context_tokens=100)
    await evaluate(engine, [persona("be a pirate")], 1, lambda _line: None, [pair("hi", system="be brief")])
    assert [message.text for message in engine.requests[-1].messages] == ["be brief", "hi"]

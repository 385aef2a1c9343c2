"""A prompt that was counted is not rendered again, and nothing is kept that nobody may need."""

from collections.abc import Sequence

import pytest

from chatbot.engine.base import ChatMessage, GenerationFailed
from chatbot.engine.recent_prompts import MOST, RecentPrompts


class Counted:
    """Renders each message as its length, and counts how often it is asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, messages: Sequence[ChatMessage]) -> list[int]:
        self.calls += 1
        return [len(message.text) for message in messages]


def said(*texts: str) -> tuple[ChatMessage, ...]:
    return tuple(ChatMessage("user", text) for text in texts)


def test_the_same_messages_are_rendered_once_and_others_anew() -> None:
    prompts, render = RecentPrompts(9), Counted()
    assert [prompts.ids(said("a", "bc"), render), prompts.ids(list(said("a", "bc")), render)] == [[1, 2], [1, 2]]
    assert render.calls == 1
    assert prompts.ids((ChatMessage("assistant", "a"), *said("bc")), render) == [1, 2]
    assert render.calls == 2


def test_what_a_caller_does_to_its_ids_stays_with_it() -> None:
    prompts, render = RecentPrompts(9), Counted()
    prompts.ids(said("a"), render).append(9)
    assert prompts.ids(said("a"), render) == [1]


def test_only_the_last_prompts_are_kept_and_none_after_clear() -> None:
    prompts, render = RecentPrompts(9), Counted()
    for number in range(MOST + 1):
        prompts.ids(said(str(number)), render)
    prompts.ids(said("1"), render)
    assert render.calls == MOST + 1
    prompts.ids(said("0"), render)
    assert render.calls == MOST + 2
    prompts.clear()
    prompts.ids(said("0"), render)
    assert render.calls == MOST + 3


def test_long_prompts_are_kept_only_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.engine.recent_prompts.MOST_TOKENS", 4)
    prompts, render = RecentPrompts(9), Counted()
    for texts in ("abc", "d", "ef", "d", "ef", "abc"):
        prompts.ids(said(*texts), render)
    assert render.calls == 4


def test_a_refusal_is_passed_on_and_not_kept() -> None:
    def refuse(_: Sequence[ChatMessage]) -> list[int]:
        raise GenerationFailed("no")

    prompts = RecentPrompts(9)
    with pytest.raises(GenerationFailed, match="no"):
        prompts.ids(said("a"), refuse)
    assert prompts.ids(said("a"), Counted()) == [1]


def test_what_was_being_rendered_when_all_was_forgotten_is_not_kept() -> None:
    prompts, render = RecentPrompts(9), Counted()

    def render_late(messages: Sequence[ChatMessage]) -> list[int]:
        prompts.clear()
        return render(messages)

    assert prompts.ids(said("a"), render_late) == prompts.ids(said("a"), render)
    assert render.calls == 2


def test_a_prompt_that_is_too_long_to_be_computed_is_not_kept() -> None:
    prompts, render = RecentPrompts(1), Counted()
    for _ in range(2):
        assert prompts.ids(said("a", "b"), render) == [1, 1]
    assert render.calls == 2

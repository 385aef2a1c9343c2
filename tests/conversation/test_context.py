from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatbot.conversation.context import (
    KEPT_SHARE,
    REACH_CHARACTERS,
    RECALL_SHARE,
    ContextTooLong,
    build_context,
    render,
    shown_items,
)
from chatbot.engine.base import ChatMessage
from storage.records import Item, ItemRole
from tests.examples import examples


def item(position: int, role: ItemRole, text: str) -> Item:
    return Item(f"msg_{position}", "conv_1", None, position, role, "completed", text, None, 0)


def chat(*texts: str) -> list[Item]:
    """Items that alternate between user and assistant, the last one the user's."""
    roles: list[ItemRole] = ["user", "assistant"]
    return [item(index, roles[index % 2], text) for index, text in enumerate(texts)]


def count(messages: Sequence[ChatMessage]) -> int:
    return sum(1 + len(message.text.split()) for message in messages)


def words(number: int) -> str:
    return " ".join("w" * number) or "w"


histories = st.lists(st.integers(1, 12), min_size=0, max_size=15).map(
    lambda lengths: chat(*(words(n) for n in [*lengths, *([3] if len(lengths) % 2 == 0 else [])]))
)


def test_a_short_history_is_sent_whole_after_the_system_prompt() -> None:
    context = build_context("be kind", chat("hi", "hello", "how are you"), budget_tokens=100, count_tokens=count)
    assert [(message.role, message.text) for message in context.messages] == [
        ("system", "be kind"),
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "how are you"),
    ]
    assert context.kept == ("msg_0", "msg_1", "msg_2")
    assert context.dropped == ()
    assert context.tokens == 3 + 2 + 2 + 4


@given(histories, st.integers(20, 120))
def test_the_prompt_is_within_budget_and_holds_the_newest_messages_whole(history: list[Item], budget: int) -> None:
    context = build_context("be kind", history, budget_tokens=budget, count_tokens=count)
    assert context.tokens == count(context.messages) <= budget
    assert [*context.dropped, *context.kept] == [entry.id for entry in history]
    assert context.messages[-1].text == history[-1].text
    assert {message.text for message in context.messages} <= {"be kind", *(entry.text for entry in history)}


@given(histories, st.integers(20, 120))
def test_what_is_kept_begins_with_the_user(history: list[Item], budget: int) -> None:
    context = build_context("", history, budget_tokens=budget, count_tokens=count)
    assert context.messages[0].role == "user"


def test_the_window_moves_in_a_large_step_and_then_stays() -> None:
    history: list[Item] = []
    start: str | None = None
    starts: list[str] = []
    for turn in range(40):
        history.append(item(2 * turn, "user", words(4)))
        context = build_context("be kind", history, budget_tokens=100, count_tokens=count, window_start=start)
        if starts and context.kept[0] != starts[-1]:
            assert context.tokens <= 100 * KEPT_SHARE + 10  # what the last turn brought
        start = context.kept[0]
        starts.append(start)
        history.append(item(2 * turn + 1, "assistant", words(4)))
    moves = sum(before != after for before, after in zip(starts, starts[1:], strict=False))
    assert 5 <= moves <= 40 / 3


@pytest.mark.parametrize("recall_tokens", [0, 50])
def test_the_window_of_a_chat_that_nobody_remembers_moves_in_large_steps_too(recall_tokens: int) -> None:
    history: list[Item] = []
    dropped: list[int] = []
    for turn in range(60):
        history.append(item(2 * turn, "user", words(1 + 7 * turn % 9)))
        context = build_context("be kind", history, budget_tokens=100, count_tokens=count, recall_tokens=recall_tokens)
        dropped.append(len(context.dropped))
        history.append(item(2 * turn + 1, "assistant", words(4)))
    moves = sum(before != after for before, after in pairwise(dropped))
    step_tokens = (100 - min(recall_tokens, 100 * RECALL_SHARE)) * (1 - KEPT_SHARE)
    assert dropped == sorted(dropped)
    assert 10 <= moves <= count(render("be kind", history)) / step_tokens


def test_a_message_over_the_budget_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextTooLong, match=r"needs 24 tokens with the system prompt .* but only 20 fit"):
        build_context("be kind", chat(words(20)), budget_tokens=20, count_tokens=count)


def test_what_does_not_fit_for_the_system_messages_names_them() -> None:
    with pytest.raises(ContextTooLong, match=r"needs 24 tokens .* all system messages"):
        build_context("", [item(0, "system", words(21)), item(1, "user", "hi")], budget_tokens=20, count_tokens=count)


def test_empty_replies_are_left_out_and_two_messages_of_one_speaker_become_one() -> None:
    messages = render("", chat("first", "", "second"))
    assert messages == (ChatMessage("user", "first\nsecond"),)


def test_system_items_join_the_system_prompt() -> None:
    messages = render("be kind", [item(0, "system", "be brief"), item(1, "user", "hi")])
    assert messages == (ChatMessage("system", "be kind\nbe brief"), ChatMessage("user", "hi"))


def test_the_record_says_what_was_kept_and_dropped() -> None:
    record = build_context("", chat(words(9), words(9), "hi"), budget_tokens=12, count_tokens=count).record()
    assert record == {
        "window_start": "msg_2",
        "kept": ["msg_2"],
        "dropped": 2,
        "recalled": [],
        "tokens": 2,
        "budget_tokens": 12,
    }


def told_and_talked(count_of_fillers: int) -> list[Item]:
    """A fact, talk about nothing, and a question for the fact."""
    return chat("my boat is called Wanda", "nice", *["w w w"] * (2 * count_of_fillers), "what is my boat called")


def test_what_was_dropped_is_recalled_by_a_message_about_it() -> None:
    context = build_context("", told_and_talked(20), budget_tokens=100, count_tokens=count, recall_tokens=50)
    assert context.recalled == ("msg_0", "msg_1")
    assert context.messages[-1].text.splitlines()[1].endswith(": my boat is called Wanda")
    assert context.messages[-1].text.endswith("[now]\nwhat is my boat called")
    assert context.record()["recalled"] == ["msg_0", "msg_1"]
    assert shown_items(context.record()) == (*context.kept, "msg_0", "msg_1")


def test_what_is_in_the_window_is_not_recalled_and_recall_can_be_turned_off() -> None:
    assert build_context("", told_and_talked(2), budget_tokens=100, count_tokens=count, recall_tokens=50).recalled == ()
    off = build_context("", told_and_talked(20), budget_tokens=100, count_tokens=count, recall_tokens=0)
    assert off.dropped
    assert not off.recalled


@given(histories, st.integers(20, 120), st.integers(0, 60))
def test_recalled_messages_keep_to_the_budget_and_to_their_share(
    history: list[Item], budget: int, recall_tokens: int
) -> None:
    context = build_context("be kind", history, budget_tokens=budget, count_tokens=count, recall_tokens=recall_tokens)
    plain = count(render("be kind", [entry for entry in history if entry.id in context.kept]))
    assert context.tokens == count(context.messages) <= budget
    assert context.tokens - plain <= min(recall_tokens, budget * RECALL_SHARE)
    assert set(context.recalled) <= set(context.dropped)


def test_recall_does_not_move_the_window_from_turn_to_turn() -> None:
    history: list[Item] = []
    start: str | None = None
    moves = 0
    for turn in range(40):
        history.append(item(2 * turn, "user", f"w{turn} boat w w"))
        context = build_context(
            "be kind", history, budget_tokens=100, count_tokens=count, window_start=start, recall_tokens=50
        )
        moves += start not in (None, context.window_start)
        start = context.window_start
        history.append(item(2 * turn + 1, "assistant", words(4)))
    assert context.recalled
    assert moves <= 40 / 3


def test_instructions_in_the_history_do_not_wear_off() -> None:
    said = [item(entry.position + 1, entry.role, entry.text) for entry in chat(*["w w w w"] * 21)]
    history = [item(0, "system", "answer in French"), *said]
    context = build_context("be kind", history, budget_tokens=40, count_tokens=count)
    assert context.messages[0].text == "be kind\nanswer in French"
    assert context.kept[0] == "msg_0"
    assert context.dropped[0] == "msg_1"
    assert context.record()["window_start"] == context.kept[1]
    again = build_context("be kind", history, budget_tokens=40, count_tokens=count, window_start=context.window_start)
    assert again == context


def test_what_a_window_cannot_reach_back_to_is_not_counted() -> None:
    counted: list[int] = []

    def counting(messages: Sequence[ChatMessage]) -> int:
        counted.append(sum(len(message.text) for message in messages))
        return count(messages)

    history = chat(*(words(10) for _ in range(2001)))
    context = build_context("", history, budget_tokens=100, count_tokens=counting)
    assert 50 <= context.tokens <= 100
    assert max(counted) <= 100 * REACH_CHARACTERS < sum(len(each.text) for each in history) / 10


@settings(max_examples=examples(30))
@given(st.integers(1, 60), st.integers(20, 40), st.integers(1, 40))
@example(8, 36, 1)
def test_a_chat_that_grows_within_its_reach_keeps_its_window_where_it_was(
    messages: int, budget: int, length: int
) -> None:
    """Whatever is left uncounted, a longer chat never begins its window earlier."""
    starts = [
        len(build_context("", chat(*[words(length % 15 + 1)] * odd), budget_tokens=budget, count_tokens=count).dropped)
        for odd in (2 * messages + 1, 2 * messages + 3)
    ]
    assert starts == sorted(starts)

"""The bottom line tells as much as there is room for."""

import pytest

from tui.state import Chat, ContextUse, Message, Model, Pace, State
from tui.widgets.status import status_text

WRITING = Message("m", "assistant", "", "streaming", response_id="resp_1")
CHAT = Chat("c", messages=(WRITING,), context=ContextUse(612, 960, 28), pace=Pace(0.0, 9, 38.0))
STATE = State((CHAT,), "c", (Model("chatbot-mini", False),), "live", was_live=True)


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (
            120,
            "chatbot-mini · context ▓▓▓▓▓░░░ 612/960 · 28 older not seen by the model · 38 tok/s · Esc stops · live",
        ),
        (98, "chatbot-mini · context ▓▓▓▓▓░░░ 612/960 · 28 older not seen by the model · Esc stops · live"),
        (78, "chatbot-mini · context ▓▓▓▓▓░░░ 612/960 · Esc stops · live"),
        (50, "context ▓▓▓▓▓░░░ 612/960 · Esc stops · live"),
    ],
)
def test_what_can_be_done_and_whether_the_server_is_there_show_at_any_width(width: int, text: str) -> None:
    assert status_text(STATE, width).plain == text


def test_what_was_recalled_of_older_messages_is_told() -> None:
    chat = Chat("c", context=ContextUse(612, 960, 28, recalled=2))
    text = status_text(State((chat,), "c", connection="live", was_live=True), 120).plain
    assert "28 older not seen by the model, 2 recalled" in text

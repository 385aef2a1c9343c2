"""What the events of a reply do to the state."""

from hypothesis import given
from hypothesis import strategies as st

from tests.tui.states import asked, chat_in, delta, ended, listed, reply_in
from tui import replies, transitions
from tui.safe_text import safe_text
from tui.widgets.headline import headline


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=5)), max_size=40), st.data())
def test_deltas_go_to_their_message_wherever_the_user_is(deltas: list[tuple[str, str]], data: st.DataObject) -> None:
    state = listed("a", "b", "c")
    for key in "abc":
        state = asked(state, key, key)
    for key, text in deltas:
        state = transitions.opened(state, data.draw(st.sampled_from(["a", "b", "c", None])))
        state = replies.received(state, delta(key, text), now=0.0)
    for key in "abc":
        expected = "".join(safe_text(text) for name, text in deltas if name == key)
        assert reply_in(state, key).text == expected


def test_a_reply_that_ends_out_of_sight_is_marked_unseen() -> None:
    state = transitions.opened(asked(listed("a", "b"), "a"), "b")
    state = replies.received(state, ended("k", "completed", "done"), now=1.0)
    assert chat_in(state, "a").is_unseen
    assert not chat_in(transitions.opened(state, "a"), "a").is_unseen


def test_every_ending_has_its_word() -> None:
    reason = {"incomplete_details": {"reason": "max_output_tokens"}}
    crash = {"incomplete_details": {"reason": "server_restart"}}
    error = {"error": {"code": "x", "message": "out of memory"}}
    endings = [
        ("completed", {}, "completed"),
        ("cancelled", {}, "stopped"),
        ("incomplete", reason, "cut"),
        ("incomplete", crash, "interrupted"),
        ("failed", error, "failed"),
    ]
    for status, fields, shown in endings:
        state = replies.received(asked(listed("a"), "a"), ended("k", status, "text", **fields), now=1.0)
        assert reply_in(state, "a").status == shown
    assert reply_in(state, "a").remark == "out of memory"


def test_the_stored_text_decides_after_a_crash() -> None:
    state = replies.received(asked(listed("a"), "a"), delta("k", "seen but not saved"), now=0.0)
    crash = {"incomplete_details": {"reason": "server_restart"}}
    state = replies.received(state, ended("k", "incomplete", "seen but", **crash), now=1.0)
    assert reply_in(state, "a").text == "seen but"


def test_a_log_read_again_from_its_start_repeats_nothing() -> None:
    state = replies.received(asked(listed("a"), "a"), delta("k", "Hel"), now=0.0)
    begun = {"type": "response.in_progress", "response_id": "resp_k", "response": {}}
    for event in (begun, delta("k", "Hel"), delta("k", "lo")):
        state = replies.received(state, event, now=0.0)
    assert reply_in(state, "a").text == "Hello"


def test_context_and_speed_are_the_servers_own_count() -> None:
    state = asked(listed("a"), "a")
    context = {"tokens": 90, "budget_tokens": 100, "kept": ["3"], "dropped": 2}
    state = replies.received(state, {"type": "chatbot:context", "response_id": "resp_k", "context": context}, 0.0)
    for second in range(3):
        state = replies.received(state, delta("k", "word "), now=float(second))
    pace = chat_in(state, "a").pace
    assert pace is not None
    assert pace.tokens_per_s == 1.0
    state = replies.received(state, ended("k", "completed", "", usage={"output_tokens": 21}), now=10.0)
    chat = chat_in(state, "a")
    assert chat.context is not None
    assert chat.pace is not None
    assert (chat.context.dropped, chat.context.share, chat.pace.tokens_per_s) == (2, 0.9, 2.0)


def test_a_reply_that_waits_says_for_what_until_it_begins() -> None:
    state = asked(listed("a"), "a")
    for event, told in (
        ({"type": "response.created"}, "queued"),
        ({"type": "chatbot:queued", "position": 0, "waits_for": "model"}, "waits for the model, which is being loaded"),
        ({"type": "response.in_progress"}, "writing…"),
    ):
        state = replies.received(state, {**event, "response_id": "resp_k"}, now=0.0)
        assert headline(reply_in(state, "a"), "Ada").plain == f"Ada  {told}"


def test_events_of_others_change_nothing() -> None:
    state = asked(listed("a"), "a")
    assert replies.received(state, delta("other", "x"), 0.0) is state
    assert replies.received(state, {"type": "chatbot:queued"}, 0.0) is state
    assert replies.received(state, {"type": "new.kind", "response_id": "resp_k"}, 0.0) is state

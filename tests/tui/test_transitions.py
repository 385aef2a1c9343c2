"""The state without any screen: where events go, how replies end, that order does not matter across chats."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tui import transitions
from tui.safe_text import safe_text
from tui.state import Chat, Message, State

Json = dict[str, Any]


def listed(*chats: str) -> State:
    bodies = [{"id": name, "title": f"About {name}", "model": "pirate"} for name in chats]
    state = transitions.chats_listed(State(), bodies, has_more=False)
    return replace(state, chats=tuple(replace(chat, is_loaded=True) for chat in state.chats))


def asked(state: State, chat: str, key: str = "k") -> State:
    """A message was sent in a chat and acknowledged as `resp_<key>`."""
    state = transitions.submitted(transitions.opened(state, chat), key, "hi")
    response = {"id": f"resp_{key}", "status": "in_progress", "model": "pirate"}
    return transitions.acknowledged(state, key, response)


def delta(key: str, text: str) -> Json:
    return {"type": "response.output_text.delta", "response_id": f"resp_{key}", "delta": text}


def ended(key: str, status: str, text: str, **fields: Any) -> Json:
    output = [{"content": [{"type": "output_text", "text": text}]}]
    kind = {"completed": "completed", "failed": "failed"}.get(status, "incomplete")
    response = {"id": f"resp_{key}", "status": status, "output": output, **fields}
    return {"type": f"response.{kind}", "response": response}


def reply_in(state: State, chat: str) -> Message:
    found = state.find(chat)
    assert found is not None
    return [message for message in found.messages if message.role == "assistant"][-1]


def chat_in(state: State, chat: str) -> Chat:
    found = state.find(chat)
    assert found is not None
    return found


def test_a_message_shows_before_the_server_knows_it() -> None:
    state = transitions.submitted(listed("a"), "k", "hello\x1b[2J")
    assert state.current == "draft_k"
    user, reply = chat_in(state, "draft_k").messages
    assert (user.text, user.status, reply.status) == ("hello[2J", "sending", "sending")


def test_a_draft_becomes_a_conversation_under_the_users_eyes() -> None:
    state = transitions.submitted(State(), "k", "hello")
    state = transitions.adopted(state, "draft_k", {"id": "conv_1", "title": None, "model": None})
    assert state.current == "conv_1"
    assert not chat_in(state, "conv_1").is_draft
    state = transitions.chat_described(state, {"id": "conv_1", "title": "hello"})
    assert chat_in(state, "conv_1").title == "hello"


def test_a_list_that_crosses_with_a_new_conversation_loses_and_doubles_nothing() -> None:
    draft = transitions.submitted(State(), "k", "hello")
    made, older = {"id": "conv_1", "title": "hello"}, {"id": "conv_0", "title": "old"}
    listed_late = transitions.chats_listed(transitions.adopted(draft, "draft_k", made), [older], has_more=False)
    listed_early = transitions.adopted(transitions.chats_listed(draft, [made, older], has_more=False), "draft_k", made)
    for state in (listed_late, listed_early):
        assert [chat.id for chat in state.chats] == ["conv_1", "conv_0"]
        assert state.current == "conv_1"
        assert len(chat_in(state, "conv_1").messages) == 2


def test_sending_moves_a_chat_to_the_top() -> None:
    state = asked(listed("a", "b", "c"), "c")
    assert [chat.id for chat in state.chats] == ["c", "a", "b"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=5)), max_size=40), st.data())
def test_deltas_go_to_their_message_wherever_the_user_is(deltas: list[tuple[str, str]], data: st.DataObject) -> None:
    state = listed("a", "b", "c")
    for key in "abc":
        state = asked(state, key, key)
    for key, text in deltas:
        state = transitions.opened(state, data.draw(st.sampled_from(["a", "b", "c", None])))
        state = transitions.received(state, delta(key, text), now=0.0)
    for key in "abc":
        expected = "".join(safe_text(text) for name, text in deltas if name == key)
        assert reply_in(state, key).text == expected


def test_a_reply_that_ends_out_of_sight_is_marked_unseen() -> None:
    state = transitions.opened(asked(listed("a", "b"), "a"), "b")
    state = transitions.received(state, ended("k", "completed", "done"), now=1.0)
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
        state = transitions.received(asked(listed("a"), "a"), ended("k", status, "text", **fields), now=1.0)
        assert reply_in(state, "a").status == shown
    assert reply_in(state, "a").remark == "out of memory"


def test_the_stored_text_decides_after_a_crash() -> None:
    state = transitions.received(asked(listed("a"), "a"), delta("k", "seen but not saved"), now=0.0)
    crash = {"incomplete_details": {"reason": "server_restart"}}
    state = transitions.received(state, ended("k", "incomplete", "seen but", **crash), now=1.0)
    assert reply_in(state, "a").text == "seen but"


def test_a_log_read_again_from_its_start_repeats_nothing() -> None:
    state = transitions.received(asked(listed("a"), "a"), delta("k", "Hel"), now=0.0)
    begun = {"type": "response.in_progress", "response_id": "resp_k", "response": {}}
    for event in (begun, delta("k", "Hel"), delta("k", "lo")):
        state = transitions.received(state, event, now=0.0)
    assert reply_in(state, "a").text == "Hello"


def test_a_refused_message_stays_and_says_why() -> None:
    state = transitions.submitted(listed("a"), "k", "hello")
    state = transitions.refused(state, "k", "too long")
    (message,) = chat_in(state, "draft_k").messages
    assert (message.status, message.remark) == ("unsent", "too long")


def item(name: str, role: str, text: str, **fields: Any) -> Json:
    return {"id": name, "role": role, "content": [{"text": text}], "status": "completed", **fields}


def test_history_is_put_before_what_is_there_and_never_twice() -> None:
    state = asked(listed("a"), "a")
    page = [item("4", "assistant", "x", response_id="resp_k"), item("3", "assistant", "two"), item("2", "user", "one")]
    state = transitions.items_loaded(state, "a", page, has_more=True)
    chat = chat_in(state, "a")
    assert [message.text for message in chat.messages] == ["one", "two", "hi", ""]
    assert chat.oldest_item == "2"
    state = transitions.items_loaded(state, "a", [item("1", "user", "zero"), item("0", "system", "s")], has_more=False)
    assert chat_in(state, "a").messages[0].text == "zero"
    assert chat_in(state, "a").oldest_item is None


def test_the_list_keeps_what_is_loaded_and_drafts() -> None:
    state = transitions.submitted(transitions.opened(asked(listed("a"), "a"), None), "d", "draft")
    again = [{"id": "b", "title": "B"}, {"id": "a", "title": "New title"}]
    state = transitions.chats_listed(state, again, has_more=True)
    assert [chat.id for chat in state.chats] == ["draft_d", "b", "a"]
    assert chat_in(state, "a").title == "New title"
    assert len(chat_in(state, "a").messages) == 2
    state = transitions.more_chats_listed(state, [{"id": "a"}, {"id": "z"}], has_more=False)
    assert [chat.id for chat in state.chats][-1] == "z"
    assert len(state.chats) == 4


def test_removing_the_open_chat_opens_its_neighbour() -> None:
    state = transitions.opened(listed("a", "b", "c"), "b")
    assert transitions.removed(state, "b").current == "c"
    assert transitions.removed(transitions.removed(state, "b"), "c").current == "a"
    assert transitions.removed(state, "a").current == "b"
    assert transitions.removed(transitions.opened(listed("a"), "a"), "a").current is None


def test_context_and_speed_are_the_servers_own_count() -> None:
    state = asked(listed("a"), "a")
    context = {"tokens": 90, "budget_tokens": 100, "kept": ["3"], "dropped": 2}
    state = transitions.received(state, {"type": "chatbot:context", "response_id": "resp_k", "context": context}, 0.0)
    for second in range(3):
        state = transitions.received(state, delta("k", "word "), now=float(second))
    pace = chat_in(state, "a").pace
    assert pace is not None
    assert pace.tokens_per_s == 1.0
    state = transitions.received(state, ended("k", "completed", "", usage={"output_tokens": 21}), now=10.0)
    chat = chat_in(state, "a")
    assert chat.context is not None
    assert chat.pace is not None
    assert (chat.context.dropped, chat.context.share, chat.pace.tokens_per_s) == (2, 0.9, 2.0)


def test_personas_speak_under_their_name() -> None:
    models = [{"id": "mini", "chatbot": {"persona": False}}, {"id": "pirate", "chatbot": {"persona": True}}]
    state = transitions.models_listed(State(), models)
    assert [state.speaker(name) for name in ("mini", None, "pirate")] == ["Assistant", "Assistant", "Pirate"]
    state = transitions.persona_chosen(state, "pirate")
    assert state.persona == "pirate"
    assert transitions.submitted(state, "k", "hi").persona == "pirate"


def test_events_of_others_change_nothing() -> None:
    state = asked(listed("a"), "a")
    assert transitions.received(state, delta("other", "x"), 0.0) is state
    assert transitions.received(state, {"type": "chatbot:queued"}, 0.0) is state
    assert transitions.received(state, {"type": "new.kind", "response_id": "resp_k"}, 0.0) is state

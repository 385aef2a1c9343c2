"""The state without any screen: what is sent, listed, loaded and told by the server about chats."""

from typing import Any

from tests.tui.states import Json, asked, chat_in, ended, listed, reply_in
from tui import replies, transitions
from tui.state import State


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


def test_a_refused_message_stays_and_says_why() -> None:
    state = transitions.submitted(listed("a"), "k", "hello")
    state = transitions.refused(state, "k", "too long")
    (message,) = chat_in(state, "draft_k").messages
    assert (message.status, message.remark) == ("unsent", "too long")


def item(name: str, role: str, text: str, **fields: Any) -> Json:
    return {"id": name, "role": role, "content": [{"text": text}], "status": "completed", **fields}


def test_each_reply_of_history_has_the_name_of_who_wrote_it() -> None:
    page = [item("3", "assistant", "who?"), item("2", "assistant", "hello", model="mini"), item("1", "user", "hi")]
    chat = chat_in(transitions.items_loaded(listed("a"), "a", page, has_more=False), "a")
    assert [message.persona for message in chat.messages] == [None, "mini", "pirate"]


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


def test_personas_speak_under_their_name() -> None:
    models = [{"id": "mini", "chatbot": {"persona": False}}, {"id": "pirate", "chatbot": {"persona": True}}]
    state = transitions.models_listed(State(), models)
    assert [state.speaker(name) for name in ("mini", None, "pirate")] == ["Assistant", "Assistant", "Pirate"]
    state = transitions.persona_chosen(state, state.sheet, "pirate")
    assert state.persona == "pirate"
    assert transitions.submitted(state, "k", "hi").persona == "pirate"


def caught_up(
    state: State, *newest_first: Json, stored: tuple[str, ...] | None = None, has_more: bool = False
) -> State:
    keys = [message.key for message in chat_in(state, "a").messages] if stored is None else stored
    return transitions.caught_up(state, "a", list(newest_first), has_more=has_more, stored=keys)


def texts(state: State) -> list[str]:
    return [message.text for message in chat_in(state, "a").messages]


def talked() -> tuple[State, Json, Json]:
    """A chat with an older turn and one of ours, and what the server has of the latter."""
    older = [item("2", "assistant", "before"), item("1", "user", "earlier")]
    state = transitions.items_loaded(listed("a"), "a", older, has_more=True)
    state = replies.received(asked(state, "a"), ended("k", "completed", "there"), now=1.0)
    return state, item("4", "assistant", "there", response_id="resp_k", parent_id="3"), item("3", "user", "hi")


def test_what_others_said_comes_after_what_was_said_here() -> None:
    state, reply, question = talked()
    theirs = item("6", "assistant", "", response_id="resp_x", status="in_progress"), item("5", "user", "me too")
    state = caught_up(state, *theirs, reply, question, has_more=True)
    assert texts(state) == ["earlier", "before", "hi", "there", "me too", ""]
    assert (reply_in(state, "a").status, reply_in(state, "a").response_id) == ("streaming", "resp_x")
    assert texts(caught_up(state, *theirs, reply, question, has_more=True)) == texts(state)


def test_what_others_said_before_it_arrived_here_stands_where_the_server_has_it() -> None:
    state, reply, question = talked()
    state = caught_up(state, reply, question, item("2b", "assistant", "first"), item("2a", "user", "I was"))
    assert texts(state)[-4:] == ["I was", "first", "hi", "there"]


def test_what_others_deleted_goes_and_what_only_is_here_stays() -> None:
    state, reply, question = talked()
    state = transitions.noted(state, "a note")
    state = caught_up(state, item("5", "user", "me too"), reply, question, item("1", "user", "earlier"))
    assert texts(state) == ["earlier", "hi", "there", "a note", "me too"]
    assert texts(caught_up(state, item("1", "user", "earlier"))) == ["earlier", "a note"]
    assert texts(caught_up(state)) == ["a note"]


def test_what_was_sent_after_the_server_was_asked_stays_at_the_end() -> None:
    state, reply, question = talked()
    had = tuple(message.key for message in chat_in(state, "a").messages)
    state = asked(state, "a", "later")
    state = caught_up(state, item("5", "user", "me too"), reply, question, stored=had, has_more=True)
    assert texts(state)[-4:] == ["there", "me too", "hi", ""]


def test_a_question_that_others_deleted_takes_no_other_messages_place() -> None:
    state, reply, _ = talked()
    reply["parent_id"] = "2"  # what answered the deleted question moves up
    state = caught_up(state, reply, item("2", "assistant", "before"), item("1", "user", "earlier"))
    assert texts(state) == ["earlier", "before", "there"]


def test_another_branch_replaces_the_one_that_was_shown() -> None:
    state, _, _ = talked()
    state = caught_up(state, item("8", "assistant", "anew"), item("7", "user", "edited"), item("1", "user", "earlier"))
    assert texts(state) == ["earlier", "edited", "anew"]


def test_more_than_a_page_of_what_others_said_is_all_that_is_shown() -> None:
    state, _, _ = talked()
    state = caught_up(state, item("99", "assistant", "y"), item("98", "user", "x"), has_more=True)
    assert texts(state) == ["x", "y"]
    assert chat_in(state, "a").oldest_item == "98"


def body(name: str, change: int, **fields: Any) -> Json:
    return {"id": name, "title": f"About {name}", "model": "pirate", "change": change, **fields}


def test_a_change_elsewhere_moves_a_chat_to_its_place_and_marks_what_is_unseen() -> None:
    state = transitions.chats_listed(State(), [body("a", 9), body("b", 8)], has_more=False)
    state = transitions.opened(state, "a")
    state = transitions.chat_changed(state, body("b", 10), "resp_1")
    state = transitions.chat_changed(state, body("c", 11), None)
    state = transitions.chat_changed(state, body("d", 7), None)
    assert [chat.id for chat in state.chats] == ["c", "b", "a", "d"]
    assert [chat.id for chat in state.chats if chat.is_unseen] == ["b"]
    assert not chat_in(transitions.chat_changed(state, body("a", 12), "resp_2"), "a").is_unseen


def test_our_own_reply_in_a_chat_that_was_left_is_no_news() -> None:
    state = transitions.opened(asked(listed("a", "b"), "a"), "b")
    assert not chat_in(transitions.chat_changed(state, body("a", 12), "resp_k"), "a").is_unseen


def test_an_older_state_never_replaces_a_newer_one() -> None:
    state = transitions.chats_listed(State(), [body("a", 9)], has_more=False)
    state = transitions.chat_changed(state, body("a", 12, title="New"), None)
    state = transitions.chat_changed(state, body("b", 13), None)
    assert transitions.chat_changed(state, body("a", 11), None) is state
    state = transitions.chats_listed(state, [body("a", 9)], has_more=False)
    assert [(chat.id, chat.title) for chat in state.chats] == [("b", "About b"), ("a", "New")]


def test_of_what_a_list_lacks_only_what_came_after_it_was_asked_for_stays() -> None:
    state = transitions.chats_listed(State(), [body("a", 9), body("b", 8)], has_more=False)
    state = transitions.chat_changed(state, body("c", 10), None)
    state = transitions.chats_listed(state, [body("b", 8)], has_more=False, known=9)
    assert [chat.id for chat in state.chats] == ["c", "b"]
    assert transitions.chats_listed(state, [], has_more=False, known=10).chats == ()


def test_a_chat_that_others_deleted_leaves_a_word_where_it_was_open() -> None:
    state = transitions.opened(listed("a", "b"), "a")
    gone = transitions.vanished(state, "a")
    assert (gone.current, gone.notice) == (None, "“About a” was deleted elsewhere.")
    assert transitions.vanished(state, "b").current == "a"
    assert transitions.vanished(state, "unknown") == state


def test_marks_go_from_the_last_message_to_the_first_and_back_past_the_last() -> None:
    state = transitions.noted(transitions.submitted(listed("a"), "k", "hello"), "by the way")
    marks = []
    for step in (1, -1, -1, -1, 1, 1):
        state = transitions.marked(state, step)
        chat = chat_in(state, state.current or "")
        marks.append(chat.marked.key if chat.marked else None)
    assert marks == [None, "k:reply", "k", "k", "k:reply", None]
    assert transitions.marked(State(), -1) == State()


def test_what_was_said_after_a_message_that_never_arrived_stays_when_that_is_sent_again() -> None:
    state = transitions.refused(transitions.submitted(listed("a"), "k", "lost"), "k", "too long")
    state = transitions.submitted(state, "l", "arrived")
    while (marked := chat_in(state, state.current or "").marked) is None or marked.text != "lost":
        state = transitions.marked(state, -1)
    state = transitions.asked_anew(state, "m", "lost again")
    assert [m.text for m in chat_in(state, state.current or "").messages if m.role == "user"] == [
        "arrived",
        "lost again",
    ]

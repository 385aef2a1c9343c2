"""Every change of the state but by a reply's events, as pure functions: state and what happened in, new state out."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from chatbot.client import ConnectionState, JsonObject
from tui import pages
from tui.safe_text import safe_line, safe_text
from tui.state import DRAFT, Chat, Message, MessageStatus, Model, State


def connection_changed(state: State, connection: ConnectionState, ended_by: str = "") -> State:
    is_live = connection == "live"
    return replace(state, connection=connection, ended_by=safe_line(ended_by), was_live=state.was_live or is_live)


def models_listed(state: State, models: Iterable[JsonObject]) -> State:
    listed = []
    for model in models:
        ours = model.get("chatbot") or {}
        about = safe_line(ours.get("description") or "")
        listed.append(Model(safe_line(model["id"]), bool(ours.get("persona")), about))
    return replace(state, models=tuple(listed))


def chats_listed(state: State, conversations: Iterable[JsonObject], *, has_more: bool, known: int = 0) -> State:
    """Take the server's list in. What is loaded of a chat stays, and so does a chat made since the list was.

    `known` is the newest change that was known when the list was asked for: of what it lacks, only later ones stay.
    """
    bodies = list(conversations)
    newest = max([known, *(body.get("change") or 0 for body in bodies)])
    listed = tuple(_described(state.find(body["id"]), body) for body in bodies)
    ids = {chat.id for chat in listed}
    others = (chat for chat in state.chats if chat.id not in ids)
    unlisted = tuple(chat for chat in others if _is_in_use(state, chat) or chat.change > newest)
    return replace(state, chats=unlisted + listed, has_more_chats=has_more, is_loaded=True)


def more_chats_listed(state: State, conversations: Iterable[JsonObject], *, has_more: bool) -> State:
    """Append an older page of the list."""
    added = tuple(_described(None, body) for body in conversations if not state.find(body["id"]))
    return replace(state, chats=state.chats + added, has_more_chats=has_more)


def chat_described(state: State, body: JsonObject) -> State:
    """Take in a title or persona that the server knows."""
    return state.with_chat(body["id"], lambda chat: _described(chat, body))


def chat_changed(state: State, body: JsonObject, running: str | None) -> State:
    """Take in a conversation as the server tells it, new or not; `running` is the reply on its way in it."""
    known, change = state.find(body["id"]), body.get("change") or 0
    if known and change < known.change:
        return state
    chat = _described(known, body)
    if running and chat.id != state.current and all(message.response_id != running for message in chat.messages):
        chat = replace(chat, is_unseen=True)
    if known and change == known.change:
        return state.with_chat(chat.id, lambda _: chat)
    others = tuple(other for other in state.chats if other.id != chat.id)
    place = next((n for n, other in enumerate(others) if other.change < change and not other.is_draft), len(others))
    return replace(state, chats=(*others[:place], chat, *others[place:]))


def vanished(state: State, chat_id: str) -> State:
    """Forget a chat that somebody else deleted; who was in it stands before the blank page and is told why."""
    chat = state.find(chat_id)
    state = replace(state, chats=tuple(other for other in state.chats if other.id != chat_id))
    if chat is None or state.current != chat_id:
        return state
    return noted(opened(state, None), f"“{chat.title or 'New conversation'}” was deleted elsewhere.")


def opened(state: State, chat_id: str | None) -> State:
    state = replace(state, current=chat_id, notice="", new_title="")
    return state.with_chat(chat_id, lambda chat: replace(chat, is_unseen=False))


def begun_with(state: State, chat_id: str) -> State:
    """Open the first chat; what is being typed on the blank page goes along."""
    return opened(_off_the_blank_page(state, chat_id), chat_id)


def removed(state: State, chat_id: str) -> State:
    """Forget a chat; the next one in the list opens if it was the open one."""
    ids = [chat.id for chat in state.chats]
    left = tuple(chat for chat in state.chats if chat.id != chat_id)
    if state.current != chat_id:
        return replace(state, chats=left)
    place = ids.index(chat_id) if chat_id in ids else 0
    following = left[min(place, len(left) - 1)].id if left else None
    return opened(replace(state, chats=left), following)


def items_loaded(state: State, chat_id: str, newest_first: list[JsonObject], *, has_more: bool) -> State:
    """Put a page of history before what is there already."""
    return state.with_chat(chat_id, lambda chat: pages.prepended(chat, newest_first, has_more=has_more))


def oldest_gone(state: State, chat_id: str) -> State:
    """Forget the message where a chat's history goes on: somebody else deleted it."""
    return state.with_chat(chat_id, pages.without_oldest)


def caught_up(
    state: State, chat_id: str, newest_first: list[JsonObject], *, has_more: bool, stored: Collection[str]
) -> State:
    """Make a loaded chat what the server's newest page says; `stored` is what the server had when it was asked."""
    return state.with_chat(chat_id, lambda chat: pages.merged(chat, newest_first, has_more=has_more, stored=stored))


def submitted(state: State, key: str, text: str) -> State:
    """Show a message at once, with the place of its reply; a blank page becomes a chat."""
    chat = state.chat or Chat(
        f"{DRAFT}{key}", title=state.new_title, persona=state.new_persona, is_loaded=True, is_draft=True
    )
    return _with_turn(state, chat, key, text)


def asked_anew(state: State, key: str, text: str) -> State:
    """Show a message that is to take the place of the user's newest or marked one, and the place of its reply.

    What it replaces stays until the server has taken it; one that was never sent goes at once.
    """
    chat = state.chat
    assert chat is not None
    question = chat.question
    assert question is not None
    kept = tuple(m for m in chat.messages if m is not question or m.status != "unsent")
    return _with_turn(state, replace(chat, messages=kept), key, text, question.place)


def _with_turn(state: State, chat: Chat, key: str, text: str, replaces: str | None = None) -> State:
    """Add a message and the place of its reply to a chat, which becomes the open one and the first."""
    reply = Message(f"{key}:reply", "assistant", "", "sending", chat.persona)
    messages = (*chat.messages, Message(key, "user", safe_text(text), "sending", replaces=replaces), reply)
    others = tuple(other for other in state.chats if other.id != chat.id)
    chats = (replace(chat, messages=messages, pace=None, marked_key=None), *others)
    turned = replace(state, chats=chats, current=chat.id, notice="")
    return turned if state.chat else _off_the_blank_page(turned, chat.id)


def adopted(state: State, draft: str, body: JsonObject, *, is_loaded: bool = True) -> State:
    """A draft has its conversation on the server: it goes by its real id from now on."""

    def adopt(chat: Chat) -> Chat:
        return replace(_described(chat, body), id=body["id"], is_draft=False, is_loaded=is_loaded)

    state = replace(state, chats=tuple(chat for chat in state.chats if chat.id != body["id"]))  # listed already
    state = state.with_chat(draft, adopt)
    return replace(state, current=body["id"]) if state.current == draft else state


def acknowledged(state: State, key: str, response: JsonObject) -> State:
    """The server has stored a message, and names the response that will answer it; what it replaces goes."""
    status: MessageStatus = "queued" if response.get("status") == "queued" else "streaming"
    if chat := state.chat_of(key=key):
        state = state.with_chat(chat.id, lambda chat: _without_replaced(chat, key))
    state = _with_message(state, key, lambda m: replace(m, status="completed"))

    def begin(reply: Message) -> Message:
        persona = safe_line(response.get("model") or "") or None
        return replace(reply, status=status, response_id=response["id"], persona=persona)

    return _with_message(state, f"{key}:reply", begin)


def _without_replaced(chat: Chat, key: str) -> Chat:
    """Leave out what a message replaces and what followed that, but for what the server never had."""
    keys = [message.key for message in chat.messages]
    end = keys.index(key)
    replaces = chat.messages[end].replaces
    if replaces not in keys:
        return chat
    begin = keys.index(replaces)
    kept = (message for message in chat.messages[begin:end] if message.status == "unsent")
    return replace(chat, messages=(*chat.messages[:begin], *kept, *chat.messages[end:]))


def refused(state: State, key: str, remark: str) -> State:
    """A message was not taken: it stays, marked, and the place of its reply goes."""
    state = _with_message(state, key, lambda m: replace(m, status="unsent", remark=safe_text(remark)))
    chat = state.chat_of(key=key)
    if chat is None:
        return state
    kept = tuple(message for message in chat.messages if message.key != f"{key}:reply")
    return state.with_chat(chat.id, lambda chat: replace(chat, messages=kept))


def noted(state: State, text: str, sheet: str | None = None) -> State:
    """Add a line of ours to the chat that a sheet belongs to, or else to the open one, or above the blank page."""
    chat = (state.on_sheet(sheet) if sheet else None) or state.chat
    if chat is None:
        return replace(state, notice=safe_text(text))
    note = Message(f"note_{len(chat.messages)}_{time.monotonic_ns()}", "note", safe_text(text))
    added = replace(chat, messages=(*chat.messages, note), is_unseen=chat.id != state.current)
    return state.with_chat(chat.id, lambda _: added)


def marked(state: State, step: int) -> State:
    """Choose the message before (-1) or after (1) the chosen one, the last first; after the last one none is chosen."""
    if state.chat is None:
        return state
    keys = [message.key for message in state.chat.messages if message.role != "note"]
    place = keys.index(state.chat.marked.key) if state.chat.marked else len(keys)
    chosen = [*keys, None][min(max(place + step, 0), len(keys))]
    return state.with_chat(state.current, lambda chat: replace(chat, marked_key=chosen))


def marked_at(state: State, key: str | None) -> State:
    """Choose the message with this key in the open chat; without one none is chosen."""
    return state.with_chat(state.current, lambda chat: replace(chat, marked_key=key))


def persona_chosen(state: State, sheet: str, persona: str) -> State:
    """Let somebody answer from now on where a sheet belongs, whatever the server says until it was told."""
    chat = state.on_sheet(sheet)
    if chat is None:
        return replace(state, new_persona=persona) if sheet == state.blank_sheet else state
    return state.with_chat(chat.id, lambda chat: replace(chat, persona=persona, wanted_persona=persona))


def persona_told(state: State, chat_id: str, persona: str) -> State:
    """The server was told who was chosen; if nobody else was meanwhile, it has the word again."""

    def told(chat: Chat) -> Chat:
        return replace(chat, wanted_persona=None) if chat.wanted_persona == persona else chat

    return state.with_chat(chat_id, told)


def _is_in_use(state: State, chat: Chat) -> bool:
    return chat.is_draft or chat.id == state.current or chat.open_reply is not None


def _described(chat: Chat | None, body: JsonObject) -> Chat:
    title, persona = safe_line(body.get("title") or ""), safe_line(body.get("model") or "") or None
    change = body.get("change") or 0
    if chat is None:
        return Chat(body["id"], title, persona, change=change)
    if change < chat.change:
        return chat  # known in a newer form
    persona = chat.wanted_persona or persona or chat.persona
    return replace(chat, title=title or chat.title, persona=persona, change=change)


def _off_the_blank_page(state: State, chat_id: str) -> State:
    """Let a chat take over what is being typed on the blank page; the next blank page is another."""
    state = state.with_chat(chat_id, lambda chat: replace(chat, blank_sheet=state.blank_sheet))
    return replace(state, blank_sheet=f"blank_{chat_id}")


def _with_message(state: State, key: str, change: Callable[[Message], Message]) -> State:
    chat = state.chat_of(key=key)
    if chat is None:
        return state
    messages = tuple(change(message) if message.key == key else message for message in chat.messages)
    return state.with_chat(chat.id, lambda chat: replace(chat, messages=messages))

"""Every change of the state, as pure functions: state and what happened in, new state out.

Invariant: a server event changes only the message that its `response_id` names, whichever chat is open.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from chatbot.client import TERMINAL_EVENTS, ConnectionState, Event, JsonObject, response_text
from tui.safe_text import safe_line, safe_text
from tui.state import Chat, ContextUse, Message, MessageStatus, Model, Pace, State

MIN_MEASURED_S = 0.05


def connection_changed(state: State, connection: ConnectionState) -> State:
    return replace(state, connection=connection, was_live=state.was_live or connection == "live")


def models_listed(state: State, models: Iterable[JsonObject]) -> State:
    listed = []
    for model in models:
        ours = model.get("chatbot") or {}
        about = safe_line(ours.get("description") or "")
        listed.append(Model(safe_line(model["id"]), bool(ours.get("persona")), about))
    return replace(state, models=tuple(listed))


def chats_listed(state: State, conversations: Iterable[JsonObject], *, has_more: bool) -> State:
    """Take the server's list in. What is loaded of a chat stays, and so does a chat made since the list was."""
    listed = tuple(_described(state.find(body["id"]), body) for body in conversations)
    ids = {chat.id for chat in listed}
    unlisted = tuple(chat for chat in state.chats if chat.id not in ids and _is_in_use(state, chat))
    return replace(state, chats=unlisted + listed, has_more_chats=has_more, is_loaded=True)


def more_chats_listed(state: State, conversations: Iterable[JsonObject], *, has_more: bool) -> State:
    """Append an older page of the list."""
    added = tuple(_described(None, body) for body in conversations if not state.find(body["id"]))
    return replace(state, chats=state.chats + added, has_more_chats=has_more)


def chat_described(state: State, body: JsonObject) -> State:
    """Take in a title or persona that the server knows."""
    return _with_chat(state, body["id"], lambda chat: _described(chat, body))


def opened(state: State, chat_id: str | None) -> State:
    state = replace(state, current=chat_id, notice="", new_title="")
    return _with_chat(state, chat_id, lambda chat: replace(chat, is_unseen=False))


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
    oldest = newest_first[-1]["id"] if newest_first and has_more else None

    def prepend(chat: Chat) -> Chat:
        known = {message.key for message in chat.messages}
        known |= {message.response_id for message in chat.messages if message.response_id}
        older = [_message(item, chat.persona) for item in reversed(newest_first) if item["role"] != "system"]
        new = tuple(m for m in older if m.key not in known and m.response_id not in known)
        return replace(chat, messages=new + chat.messages, is_loaded=True, oldest_item=oldest)

    return _with_chat(state, chat_id, prepend)


def caught_up(state: State, chat_id: str, newest_first: list[JsonObject], *, has_more: bool) -> State:
    """Append what others said since a chat was loaded; if that is more than a page, the page is all that is shown."""

    def append(chat: Chat) -> Chat:
        known = {message.key for message in chat.messages} | {message.response_id for message in chat.messages}
        is_known = [item["id"] in known or item.get("response_id") in known - {None} for item in newest_first]
        newer = newest_first[: is_known.index(True)] if any(is_known) else newest_first
        added = tuple(_message(item, chat.persona) for item in reversed(newer) if item["role"] != "system")
        if any(is_known):
            return replace(chat, messages=chat.messages + added)
        return replace(chat, messages=added, oldest_item=newest_first[-1]["id"] if has_more else None)

    return _with_chat(state, chat_id, append) if newest_first else state


def submitted(state: State, key: str, text: str) -> State:
    """Show a message at once, with the place of its reply; a blank page becomes a chat."""
    chat = state.chat or Chat(
        f"draft_{key}", title=state.new_title, persona=state.new_persona, is_loaded=True, is_draft=True
    )
    reply = Message(f"{key}:reply", "assistant", "", "sending", chat.persona)
    messages = (*chat.messages, Message(key, "user", safe_text(text), "sending"), reply)
    others = tuple(other for other in state.chats if other.id != chat.id)
    chats = (replace(chat, messages=messages, pace=None), *others)
    return replace(state, chats=chats, current=chat.id, notice="")


def adopted(state: State, draft: str, body: JsonObject, *, is_loaded: bool = True) -> State:
    """A draft has its conversation on the server: it goes by its real id from now on."""

    def adopt(chat: Chat) -> Chat:
        return replace(_described(chat, body), id=body["id"], is_draft=False, is_loaded=is_loaded)

    state = replace(state, chats=tuple(chat for chat in state.chats if chat.id != body["id"]))  # listed already
    state = _with_chat(state, draft, adopt)
    return replace(state, current=body["id"]) if state.current == draft else state


def acknowledged(state: State, key: str, response: JsonObject) -> State:
    """The server has stored a message, and names the response that will answer it."""
    status: MessageStatus = "queued" if response.get("status") == "queued" else "streaming"
    state = _with_message(state, key, lambda m: replace(m, status="completed"))

    def begin(reply: Message) -> Message:
        persona = safe_line(response.get("model") or "") or None
        return replace(reply, status=status, response_id=response["id"], persona=persona)

    return _with_message(state, f"{key}:reply", begin)


def refused(state: State, key: str, remark: str) -> State:
    """A message was not taken: it stays, marked, and the place of its reply goes."""
    state = _with_message(state, key, lambda m: replace(m, status="unsent", remark=safe_text(remark)))
    chat = state.chat_of(key=key)
    if chat is None:
        return state
    kept = tuple(message for message in chat.messages if message.key != f"{key}:reply")
    return _with_chat(state, chat.id, lambda chat: replace(chat, messages=kept))


def noted(state: State, text: str) -> State:
    """Add a line of ours to the open chat, or above the blank page."""
    if state.chat is None:
        return replace(state, notice=safe_text(text))
    note = Message(f"note_{len(state.chat.messages)}_{time.monotonic_ns()}", "note", safe_text(text))
    return _with_chat(state, state.current, lambda chat: replace(chat, messages=(*chat.messages, note)))


def persona_chosen(state: State, persona: str) -> State:
    if state.chat is None:
        return replace(state, new_persona=persona)
    return _with_chat(state, state.current, lambda chat: replace(chat, persona=persona))


def received(state: State, event: Event, now: float) -> State:
    """Apply a server event to the reply it belongs to."""
    response_id = str(event.get("response_id") or (event.get("response") or {}).get("id") or "")
    chat = state.chat_of(response_id=response_id)
    if chat is None:
        return state
    kind = event["type"]
    if kind == "response.output_text.delta":
        return _grown(state, chat, response_id, safe_text(event["delta"]), now)
    if kind in ("response.created", "response.in_progress"):
        return _begun(state, chat, response_id, kind)
    if kind == "chatbot:context":
        use = _context_use(event.get("context") or {})
        return _with_chat(state, chat.id, lambda chat: replace(chat, context=use))
    if kind in TERMINAL_EVENTS:
        return _ended(state, chat, event["response"], now)
    return state


def ending(response: JsonObject) -> tuple[MessageStatus, str]:
    """How a response ended, and the server's words for it."""
    reason = (response.get("incomplete_details") or {}).get("reason")
    match response.get("status"):
        case "completed":
            return "completed", ""
        case "cancelled":
            return "stopped", ""
        case "failed":
            error = response.get("error") or {}
            return "failed", safe_text(str(error.get("message") or "no reason given"))
        case _:
            return ("cut", "") if reason == "max_output_tokens" else ("interrupted", "")


def _is_in_use(state: State, chat: Chat) -> bool:
    return chat.is_draft or chat.id == state.current or chat.open_reply is not None


def _begun(state: State, chat: Chat, response_id: str, kind: str) -> State:
    """A log is read from its start: what was known of the text comes again."""
    status: MessageStatus = "queued" if kind == "response.created" else "streaming"
    begin: Callable[[Message], Message] = lambda m: replace(m, status=status, text="")  # noqa: E731
    state = _with_response(state, chat, response_id, begin)
    return _with_chat(state, chat.id, lambda chat: replace(chat, pace=None)) if status == "streaming" else state


def _grown(state: State, chat: Chat, response_id: str, delta: str, now: float) -> State:
    pace = chat.pace or Pace(now, 0)
    elapsed = now - pace.started_at
    speed = pace.tokens / elapsed if elapsed > MIN_MEASURED_S else None
    state = _with_chat(
        state, chat.id, lambda chat: replace(chat, pace=replace(pace, tokens=pace.tokens + 1, tokens_per_s=speed))
    )
    return _with_response(state, chat, response_id, lambda m: replace(m, text=m.text + delta, status="streaming"))


def _ended(state: State, chat: Chat, response: JsonObject, now: float) -> State:
    """Settle a reply. The stored text decides: after a crash it may be shorter than what was streamed."""
    status, remark = ending(response)
    final = safe_text(response_text(response))

    def settle(message: Message) -> Message:
        text = final if response.get("output") else message.text
        return replace(message, text=text, status=status, remark=remark)

    def settle_chat(chat: Chat) -> Chat:
        return replace(chat, pace=_final_pace(chat.pace, response, now), is_unseen=chat.id != state.current)

    return _with_chat(_with_response(state, chat, response["id"], settle), chat.id, settle_chat)


def _final_pace(pace: Pace | None, response: JsonObject, now: float) -> Pace | None:
    """The server's own token count over the time we measured."""
    tokens = (response.get("usage") or {}).get("output_tokens")
    if pace is None or not tokens or now - pace.started_at < MIN_MEASURED_S:
        return pace
    return replace(pace, tokens=tokens, tokens_per_s=(tokens - 1) / (now - pace.started_at))


def _context_use(context: JsonObject) -> ContextUse:
    count = int(context.get("dropped") or 0)
    return ContextUse(int(context.get("tokens") or 0), int(context.get("budget_tokens") or 0), count)


def _described(chat: Chat | None, body: JsonObject) -> Chat:
    title, persona = safe_line(body.get("title") or ""), safe_line(body.get("model") or "") or None
    if chat is None:
        return Chat(body["id"], title, persona)
    return replace(chat, title=title or chat.title, persona=persona or chat.persona)


def _message(item: JsonObject, persona: str | None) -> Message:
    text = safe_text("".join(part.get("text", "") for part in item.get("content") or []))
    if item["role"] == "user":
        return Message(item["id"], "user", text)
    stored: dict[str, MessageStatus] = {"in_progress": "streaming", "incomplete": "interrupted"}
    status = stored.get(item.get("status") or "", "completed")
    return Message(item["id"], "assistant", text, status, persona, item.get("response_id"))


def _with_chat(state: State, chat_id: str | None, change: Callable[[Chat], Chat]) -> State:
    chats = tuple(change(chat) if chat.id == chat_id else chat for chat in state.chats)
    return replace(state, chats=chats)


def _with_message(state: State, key: str, change: Callable[[Message], Message]) -> State:
    chat = state.chat_of(key=key)
    if chat is None:
        return state
    messages = tuple(change(message) if message.key == key else message for message in chat.messages)
    return _with_chat(state, chat.id, lambda chat: replace(chat, messages=messages))


def _with_response(state: State, chat: Chat, response_id: str, change: Callable[[Message], Message]) -> State:
    messages = tuple(change(m) if m.response_id == response_id else m for m in chat.messages)
    return _with_chat(state, chat.id, lambda chat: replace(chat, messages=messages))

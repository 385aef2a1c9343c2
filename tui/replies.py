"""What the events of a reply change: state and event in, new state out.

Invariant: an event changes only the message that its `response_id` names, whichever chat is open.
"""

from collections.abc import Callable
from dataclasses import replace

from chatbot.client import TERMINAL_EVENTS, Event, JsonObject, response_text
from tui.safe_text import safe_text
from tui.state import Chat, ContextUse, Message, MessageStatus, Pace, State

MIN_MEASURED_S = 0.05
WAITS_FOR = {"turns": "waits for the reply before it", "model": "waits for the model, which is being loaded"}


def received(state: State, event: Event, now: float | None) -> State:
    """Apply a server event to the reply it belongs to; without a time, its speed is not measured."""
    response_id = str(event.get("response_id") or (event.get("response") or {}).get("id") or "")
    chat = state.chat_of(response_id=response_id)
    if chat is None:
        return state
    kind = event["type"]
    if kind == "response.output_text.delta":
        return _grown(state, chat, response_id, safe_text(event["delta"]), now)
    if kind in ("response.created", "response.in_progress"):
        return _begun(state, chat, response_id, kind)
    if kind == "chatbot:queued":
        why = WAITS_FOR.get(event.get("waits_for", ""), "")
        return _with_response(state, chat, response_id, lambda m: replace(m, remark=why))
    if kind == "chatbot:context":
        use = _context_use(event.get("context") or {})
        return state.with_chat(chat.id, lambda chat: replace(chat, context=use))
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


def _begun(state: State, chat: Chat, response_id: str, kind: str) -> State:
    """A log is read from its start: what was known of the text comes again."""
    status: MessageStatus = "queued" if kind == "response.created" else "streaming"
    begin: Callable[[Message], Message] = lambda m: replace(m, status=status, text="", remark="")  # noqa: E731
    state = _with_response(state, chat, response_id, begin)
    return state.with_chat(chat.id, lambda chat: replace(chat, pace=None)) if status == "streaming" else state


def _grown(state: State, chat: Chat, response_id: str, delta: str, now: float | None) -> State:
    pace = None if now is None else _counted(chat.pace or Pace(now, 0), now)
    state = state.with_chat(chat.id, lambda chat: replace(chat, pace=pace))
    return _with_response(state, chat, response_id, lambda m: replace(m, text=m.text + delta, status="streaming"))


def _counted(pace: Pace, now: float) -> Pace:
    """Count one more token."""
    elapsed = now - pace.started_at
    speed = pace.tokens / elapsed if elapsed > MIN_MEASURED_S else None
    return replace(pace, tokens=pace.tokens + 1, tokens_per_s=speed)


def _ended(state: State, chat: Chat, response: JsonObject, now: float | None) -> State:
    """Settle a reply. The stored text decides: after a crash it may be shorter than what was streamed."""
    status, remark = ending(response)
    final = safe_text(response_text(response))

    def settle(message: Message) -> Message:
        text = final if response.get("output") else message.text
        return replace(message, text=text, status=status, remark=remark)

    def settle_chat(chat: Chat) -> Chat:
        return replace(chat, pace=_final_pace(chat.pace, response, now), is_unseen=chat.id != state.current)

    return _with_response(state, chat, response["id"], settle).with_chat(chat.id, settle_chat)


def _final_pace(pace: Pace | None, response: JsonObject, now: float | None) -> Pace | None:
    """The server's own token count over the time we measured."""
    tokens = (response.get("usage") or {}).get("output_tokens")
    if pace is None or now is None or not tokens or now - pace.started_at < MIN_MEASURED_S:
        return pace
    return replace(pace, tokens=tokens, tokens_per_s=(tokens - 1) / (now - pace.started_at))


def _context_use(context: JsonObject) -> ContextUse:
    return ContextUse(
        tokens=int(context.get("tokens") or 0),
        budget_tokens=int(context.get("budget_tokens") or 0),
        dropped=int(context.get("dropped") or 0),
        recalled=len(context.get("recalled") or ()),
    )


def _with_response(state: State, chat: Chat, response_id: str, change: Callable[[Message], Message]) -> State:
    messages = tuple(change(m) if m.response_id == response_id else m for m in chat.messages)
    return state.with_chat(chat.id, lambda chat: replace(chat, messages=messages))

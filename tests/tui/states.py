"""States and events to begin a test with."""

from dataclasses import replace
from typing import Any

from tui import transitions
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

"""Stored rows as the resources that clients see: items, conversations, responses (Open Responses schema)."""

from collections.abc import Mapping, Sequence
from typing import Any

from chatbot.protocol.passage import passage
from storage.records import Conversation, Item, Response


def output_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def item_resource(item: Item) -> dict[str, Any]:
    """Return a message item; `response_id`, `model` and `parent_id` are ours."""
    part = output_part(item.text) if item.role == "assistant" else {"type": "input_text", "text": item.text}
    return {
        "id": item.id,
        "type": "message",
        "role": item.role,
        "status": item.status,
        "content": [part],
        "response_id": item.response_id,
        "model": item.model,
        "parent_id": item.parent_id,
    }


def output_item(response: Response, status: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """Return the reply of a response as an item in the given status."""
    return {
        "id": response.output_item_id,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": list(parts),
    }


def conversation_resource(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation; `title`, `model`, `instructions` and `change` are ours.

    `change` is the number of its last change: it grows with every change of any conversation, and lists go by it.
    """
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at,
        "metadata": dict(conversation.metadata),
        "title": conversation.title,
        "model": conversation.model,
        "instructions": conversation.instructions,
        "change": conversation.updated_order,
    }


def found_conversation(conversation: Conversation, item: Item | None, words: Sequence[str]) -> dict[str, Any]:
    """Return a conversation as a search finds it: with the message that has the words, if one has, and where."""
    found = None if item is None else {"item_id": item.id, "passage": passage(item.text, words)}
    return {**conversation_resource(conversation), "found": found}


def deleted_conversation(conversation_id: str) -> dict[str, Any]:
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


def response_resource(response: Response) -> dict[str, Any]:
    """Return the response as it stands, with every key that the Open Responses schema requires.

    `chatbot.context` is ours: which messages the model saw.
    """
    is_open = response.state in ("queued", "in_progress")
    request = response.request
    error = None
    if response.error_code:
        error = {"code": response.error_code, "message": response.error_message}
    details = {"reason": response.incomplete_reason} if response.incomplete_reason else None
    return {
        "id": response.id,
        "object": "response",
        "created_at": response.created_at,
        "completed_at": response.completed_at if response.state == "completed" else None,
        "status": response.state,
        "background": bool(request.get("background")),
        "conversation": {"id": response.conversation_id},
        "error": error,
        "incomplete_details": details,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": None,
        "metadata": dict(request.get("metadata") or {}),
        "model": response.model,
        "output": [] if is_open else [_settled_output(response)],
        "parallel_tool_calls": False,
        "previous_response_id": response.previous_response_id,
        "prompt_cache_key": None,
        "reasoning": None,
        "safety_identifier": request.get("safety_identifier"),
        "service_tier": "default",
        "store": request.get("store", True),
        "temperature": request.get("temperature"),
        "text": {"format": {"type": "text"}},
        "tool_choice": "none",
        "tools": [],
        "top_logprobs": 0,
        "top_p": request.get("top_p"),
        "presence_penalty": request.get("presence_penalty") or 0.0,
        "frequency_penalty": request.get("frequency_penalty") or 0.0,
        "truncation": "auto",
        "usage": _usage(response.usage),
        "user": request.get("user"),
        "chatbot": {"context": None if response.context is None else dict(response.context)},
    }


def page(data: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Return a list resource with its cursors."""
    return {
        "object": "list",
        "data": list(data),
        "has_more": has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def settled_status(response: Response) -> str:
    """Return the status of the reply item once its response has ended."""
    return "completed" if response.state == "completed" else "incomplete"


def _settled_output(response: Response) -> dict[str, Any]:
    return output_item(response, settled_status(response), output_part(response.text))


def _usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": usage["cached_tokens"]},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["prompt_tokens"] + usage["completion_tokens"],
    }

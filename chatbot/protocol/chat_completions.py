"""OpenAI's Chat Completions: the whole chat comes with each request, and nothing of it is stored.

A request becomes a turn that is not stored, and its events become chunks, so all that holds for turns holds here.
"""

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from chatbot.protocol.errors import InvalidRequest, ServerFault
from chatbot.protocol.events import Event
from chatbot.protocol.requests import ListOf, MaxTokens, Message, Request, ResponseCreate, TextPart, TurnOptions
from chatbot.protocol.unsupported import CHAT_COMPLETIONS, CHAT_MESSAGE, refuse_unsupported
from storage.records import Response

Chunk = dict[str, Any]


class ChatMessage(Request):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | ListOf[TextPart] | None = None

    @property
    def is_instruction(self) -> bool:
        return self.role in ("system", "developer")


class StreamOptions(Request):
    include_usage: bool = False


class Turn(ResponseCreate):
    """A turn of a chat that only the client keeps."""

    is_stateless: ClassVar[bool] = True


class ChatCompletionCreate(TurnOptions):
    """The body of `POST /v1/chat/completions`."""

    messages: ListOf[ChatMessage]
    max_completion_tokens: MaxTokens | None = None
    max_tokens: MaxTokens | None = None
    """The older name of `max_completion_tokens`, which goes first."""
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, body: dict[str, Any]) -> dict[str, Any]:
        refuse_unsupported(body, CHAT_COMPLETIONS)
        messages = body.get("messages")
        for number, message in enumerate(messages if isinstance(messages, list) else ()):
            if isinstance(message, dict) and not CHAT_MESSAGE.keys().isdisjoint(message):
                refuse_unsupported(message, CHAT_MESSAGE, f"messages.{number}.")
        return body

    @property
    def includes_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def as_turn(self) -> Turn:
        """Return the turn that answers the last message. Raises InvalidRequest if that is not one of the user.

        The instructions at the beginning take the place of the persona's; without any, the persona speaks by its own.
        """
        messages = [Message(role=message.role, content=message.content or "") for message in self.messages]
        if not messages or messages[-1].role != "user" or not messages[-1].text.strip():
            told = "messages: expected a chat that ends with a message of the user that is not empty"
            raise InvalidRequest("invalid_parameter", told, "messages")
        first = next(n for n, message in enumerate(self.messages) if not message.is_instruction)
        return Turn(
            input=messages[first:],
            instructions="\n\n".join(message.text for message in messages[:first]) or None,
            max_output_tokens=self.max_completion_tokens or self.max_tokens,
            store=False,
            **self.model_dump(include=set(TurnOptions.model_fields)),
        )


def completion(response: Response) -> Chunk:
    """Return an ended reply as a whole. Raises ServerFault for one that failed."""
    message = {"role": "assistant", "content": response.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(response)}
    return {**_head(response, "chat.completion"), "choices": [choice], "usage": _usage(response)}


def chunk(response: Response, event: Event, *, includes_usage: bool) -> Chunk | None:
    """Return what an event is to a reader of chunks: the role or a piece of the reply; most are nothing."""
    match event:
        case {"type": "response.created"}:
            delta = {"role": "assistant", "content": "", "refusal": None}
            return _chunk(response, delta, includes_usage=includes_usage)
        case {"type": "response.output_text.delta", "delta": text}:
            return _chunk(response, {"content": text}, includes_usage=includes_usage)
        case _:
            return None


def last_chunks(response: Response, *, includes_usage: bool) -> list[Chunk]:
    """Return what follows the pieces of an ended reply. Raises ServerFault for one that failed."""
    ended = [_chunk(response, {}, _finish_reason(response), includes_usage=includes_usage)]
    if includes_usage:
        ended.append({**_head(response, "chat.completion.chunk"), "choices": [], "usage": _usage(response)})
    return ended


def _chunk(
    response: Response, delta: dict[str, Any], finish_reason: str | None = None, *, includes_usage: bool
) -> Chunk:
    """Return a piece; where the last chunk brings the usage, the others say that they do not."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    usage = {"usage": None} if includes_usage else {}
    return {**_head(response, "chat.completion.chunk"), "choices": [choice], **usage}


def _head(response: Response, kind: str) -> Chunk:
    name = "chatcmpl-" + response.id.removeprefix("resp_")
    return {"id": name, "object": kind, "created": response.created_at, "model": response.model}


def _finish_reason(response: Response) -> Literal["stop", "length"]:
    match response.state, response.incomplete_reason:
        case "completed", _:
            return "stop"
        case "incomplete", "max_output_tokens":
            return "length"
    code = response.error_code or response.incomplete_reason or response.state
    raise ServerFault(code, response.error_message or f"the reply was cut off: {code}; it can be asked for again")


def _usage(response: Response) -> dict[str, Any] | None:
    usage = response.usage
    if usage is None:
        return None
    return {
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"],
        "total_tokens": usage["prompt_tokens"] + usage["completion_tokens"],
        "prompt_tokens_details": {"cached_tokens": usage["cached_tokens"]},
    }

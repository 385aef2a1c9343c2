"""Fields of OpenAI's API that ask for what this server does not do: they are refused rather than ignored in silence.

What only says how work is to be paid for or kept in a cache, or bounds tools that are never called, is let pass.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chatbot.protocol.errors import InvalidRequest

_NEVER_THERE = (
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
)
"""What may be included of items that no reply here has."""
Honoured = Mapping[str, tuple[object, ...] | list[object]]
"""The values of each field that ask for nothing else than is done anyway; where the field is a list, its elements."""
RESPONSES: Honoured = {
    "context_management": [],
    "generate": (True,),
    "include": [*_NEVER_THERE],
    "moderation": (),
    "prompt": (),
    "reasoning.effort": ("none",),
    "reasoning.summary": (),
    "stream_options.include_obfuscation": (False,),
    "text.format.type": ("text",),
    "text.verbosity": ("medium",),
    "tool_choice": ("none", "auto"),
    "tools": [],
    "top_logprobs": (0,),
    "truncation": ("auto",),
}
CHAT_COMPLETIONS: Honoured = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": [],
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": ["text"],
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "reasoning_effort": ("none",),
    "response_format.type": ("text",),
    "store": (False,),
    "stream_options.include_obfuscation": (False,),
    "tool_choice": ("none", "auto"),
    "tools": [],
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}


CHAT_MESSAGE: Honoured = {"audio": (), "function_call": (), "tool_calls": []}


def refuse_unsupported(body: Mapping[str, Any], table: Honoured, place: str = "") -> None:
    """Raise InvalidRequest naming the first field that cannot be honoured, after the place of the body in a request."""
    for field, honoured in table.items():
        given = _at(body, field)
        for value in given if isinstance(given, list) and isinstance(honoured, list) else [given]:
            if value is not None and not any(_is_same(value, one) for one in honoured):
                raise InvalidRequest("unsupported_parameter", _refusal(place + field, honoured, value), place + field)


def _is_same(value: object, other: object) -> bool:
    """Whether two values are the same in JSON, where true is no number."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _at(body: Mapping[str, Any], field: str) -> Any:
    """Return the value of a field, or what stands in the place of an object that it would be in."""
    value: Any = body
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else value
    return value


def _refusal(field: str, honoured: Sequence[object], value: object) -> str:
    expected = f"expected {' or '.join(map(repr, honoured))}, or " if honoured else ""
    return f"{field}: {str(value)[:60]!r} is not supported by this server; {expected}leave it out"

"""The events of one response, numbered from 0: four that open it, one for each delta, four that close it.

Every event is a function of the response's row, so a reader that comes later, or after a restart
of the server, gets exactly what it would have got live (Open Responses, "Streaming").
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from chatbot.protocol.resources import output_item, output_part, response_resource, settled_status
from storage.records import INTERRUPTED, Response

Event = dict[str, Any]

OPENING_EVENTS = 4

_TERMINAL = {"completed": "response.completed", "failed": "response.failed"}


def opening(response: Response) -> list[Event]:
    """Return the events that announce a response and its one output item."""
    begun = replace(response, state="in_progress", usage=None, context=None, error_code=None, incomplete_reason=None)
    resource = response_resource(begun)
    bodies: list[Event] = [
        {"type": "response.created", "response": resource},
        {"type": "response.in_progress", "response": resource},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": output_item(response, "in_progress"),
        },
        {"type": "response.content_part.added", **_place(response), "part": output_part("")},
    ]
    return list(_numbered(response, bodies, 0))


def delta(response: Response, index: int, text: str) -> Event:
    """Return the event of the delta with this index."""
    body = {"type": "response.output_text.delta", **_place(response), "delta": text, "logprobs": []}
    return next(_numbered(response, [body], OPENING_EVENTS + index))


def closing(response: Response, sequence_number: int) -> list[Event]:
    """Return the events that end a settled response; the text they carry is what is stored."""
    part = output_part(response.text)
    bodies: list[Event] = [
        {"type": "response.output_text.done", **_place(response), "text": response.text, "logprobs": []},
        {"type": "response.content_part.done", **_place(response), "part": part},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": output_item(response, settled_status(response), part),
        },
        {
            "type": _TERMINAL.get(response.state, "response.incomplete"),
            "response": response_resource(response),
        },
    ]
    return list(_numbered(response, bodies, sequence_number))


def replay(response: Response, starting_after: int) -> list[Event]:
    """Return the events of a settled response that follow the given sequence number.

    A reader may have seen deltas that a crashed server had not saved. It gets the closing events,
    numbered on from what it knows; their text is the truth. One that has seen the last event, or claims to have seen
    more, gets the last again: it is not left to wait for what never comes.
    """
    next_number, end = starting_after + 1, OPENING_EVENTS + len(response.delta_lengths)
    if response.incomplete_reason == INTERRUPTED and next_number > end:
        return closing(response, next_number)
    begun = opening(response)[next_number:] if next_number < OPENING_EVENTS else []
    ended = closing(response, end)
    missing = ended[max(next_number - end, 0) :]
    return [*begun, *_deltas(response, max(next_number - OPENING_EVENTS, 0)), *missing] or ended[-1:]


def last(response: Response) -> Event:
    """Return the event that ends a settled response."""
    return closing(response, OPENING_EVENTS + len(response.delta_lengths))[-1]


def _deltas(response: Response, first: int) -> Iterator[Event]:
    """Yield the deltas from this index on; what comes before, a long reply all but always, is only counted."""
    begin = sum(response.delta_lengths[:first])
    for index, length in enumerate(response.delta_lengths[first:], first):
        yield delta(response, index, response.text[begin : begin + length])
        begin += length


def _place(response: Response) -> Event:
    return {"item_id": response.output_item_id, "output_index": 0, "content_index": 0}


def _numbered(response: Response, bodies: Iterable[Event], start: int) -> Iterator[Event]:
    """Number the bodies; `response_id` is ours, so that one socket can carry several responses."""
    for number, body in zip(count(start), bodies, strict=False):
        yield {**body, "sequence_number": number, "response_id": response.id}

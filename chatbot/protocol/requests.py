"""What clients may ask. Unknown fields are ignored; known ones must have their type and range."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from chatbot.protocol.errors import InvalidRequest
from chatbot.protocol.unsupported import RESPONSES, refuse_unsupported

T = TypeVar("T")
Place = list[int | str]
"""The fields and indexes that lead to a part of a body."""
MOST_METADATA = 16


def _in_number(given: object) -> object:
    """Refuse metadata of too many keys before any of them is read."""
    if isinstance(given, dict) and len(given) > MOST_METADATA:
        expected = "Dictionary should have at most {most} items, not {given}"
        raise PydanticCustomError("too_long", expected, {"most": MOST_METADATA, "given": len(given)})
    return given


ListOf = Annotated[list[T], Field(fail_fast=True)]
"""A list that is read up to its first wrong element, for no other is told: one of nothing else costs no more."""
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    BeforeValidator(_in_number),
]
UserName = Annotated[str, StringConstraints(max_length=256)]
MaxTokens = Annotated[int, Field(ge=1, le=1_000_000)]
LONGEST_TITLE = 200
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TITLE)]


class Request(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class TextPart(Request):
    type: Literal["input_text", "output_text", "text"]
    text: str


class Message(Request):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"] = "user"
    content: str | ListOf[TextPart]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ConversationReference(Request):
    id: str


class TurnOptions(Request):
    """What a turn may ask for by any API: who answers, how, and for whom.

    What is not given of sampling is as the persona likes it, or else the server.
    """

    model: str | None = None
    """Who answers: a persona (`pirate`), one version of it (`pirate@v1`) or the base model; by default the persona of
    the conversation, else the base model."""
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    """0 always takes the likeliest token."""
    top_p: Annotated[float | None, Field(ge=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    min_p: Annotated[float | None, Field(ge=0, le=1)] = None
    repetition_penalty: Annotated[float | None, Field(ge=0.01, le=10)] = None
    """Above 1, what was said becomes less likely, below 1 more. Far below, logits would leave the range of numbers."""
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    stop: str | Annotated[ListOf[str], Field(max_length=8)] | None = None
    """The reply ends before the first of these texts."""
    seed: Annotated[int | None, Field(ge=-(2**63), le=2**63 - 1)] = None
    """The same seed gives the same reply again."""
    metadata: Metadata | None = None
    """Kept with the response: up to 16 texts of 512 characters, under names of 64."""
    stream: bool | None = None
    """Over HTTP: answer with events. A WebSocket always has them."""
    safety_identifier: UserName | None = None
    """Who the turn is for, where one client speaks for many: users take turns in the engine. An empty name is none."""
    user: UserName | None = None
    """The older name of `safety_identifier`, which goes first."""


class ResponseCreate(TurnOptions):
    """One turn: the body of `POST /v1/responses` and the `response.create` event."""

    input: str | ListOf[Message]
    """What the user says: a text, or a list of `{"role", "content"}` that ends with one of the user."""
    conversation: str | ConversationReference | None = None
    """Its id, or `{"id": "conv_…"}`. Without it and `previous_response_id` one is made that is not listed."""
    previous_response_id: str | None = None
    """Continue after this response, in its conversation."""
    parent_item_id: str | None = None
    """Ours: continue from this item instead of the newest one, to edit a message or branch off. An explicit null
    begins again at the root."""
    instructions: str | None = None
    """System prompt of this turn."""
    max_output_tokens: MaxTokens | None = None
    """Longest reply, in tokens."""
    store: bool | None = None
    """`false` keeps nothing of the turn."""
    background: bool | None = None
    """Over HTTP: answer at once, with the response as it is then."""
    idempotency_key: str | None = None
    """Ours: a repeat of the same request under the same key, of up to 255 characters, gives the same
    response."""
    is_stateless: ClassVar[bool] = False
    """Whether the next request brings the whole chat again, so that the engine does well to remember it in memory."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, body: dict[str, Any]) -> dict[str, Any]:
        refuse_unsupported(body, RESPONSES)
        return body

    @property
    def given_key(self) -> str | None:
        """The idempotency key of the field, or of the metadata, where typed SDKs can put it."""
        key = self.idempotency_key
        return (self.metadata or {}).get("idempotency_key") if key is None else key

    @property
    def asks_for(self) -> str | None:
        return self.safety_identifier or self.user or None

    @property
    def conversation_id(self) -> str | None:
        named = self.conversation
        return named.id if isinstance(named, ConversationReference) else named

    @property
    def begins_at_root(self) -> bool:
        return "parent_item_id" in self.model_fields_set and self.parent_item_id is None

    @property
    def messages(self) -> list[Message]:
        return [Message(content=self.input)] if isinstance(self.input, str) else list(self.input)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        given = self.stop or ()
        return (given,) if isinstance(given, str) else tuple(given)


class ResponseCancel(Request):
    response_id: str


class ResponseAttach(Request):
    response_id: str
    starting_after: Annotated[int, Field(ge=-1)] = -1
    """The `sequence_number` of the last event that is known; -1 asks for all."""


class ConversationSubscribe(Request):
    conversation: str


class ConversationUnsubscribe(Request):
    conversation: str


class ConversationsWatch(Request):
    """Asks for the changes of all conversations; it has no fields."""


CLIENT_EVENTS: Mapping[str, type[Request]] = {
    "response.create": ResponseCreate,
    "response.cancel": ResponseCancel,
    "chatbot:response.attach": ResponseAttach,
    "chatbot:conversation.subscribe": ConversationSubscribe,
    "chatbot:conversation.unsubscribe": ConversationUnsubscribe,
    "chatbot:conversations.watch": ConversationsWatch,
}
"""What a frame may be, by its type."""


class ConversationCreate(Request):
    items: Annotated[ListOf[Message], Field(max_length=20)] | None = None
    metadata: Metadata | None = None
    title: Title | None = None
    model: str | None = None
    instructions: str | None = None


class ConversationUpdate(Request):
    metadata: Metadata | None = None
    title: Title | None = None
    model: str | None = None
    instructions: str | None = None
    active_item_id: str | None = None


class ItemsCreate(Request):
    items: Annotated[ListOf[Message], Field(min_length=1, max_length=20)]


RequestT = TypeVar("RequestT", bound=Request)


def validate(kind: type[RequestT], body: dict[str, Any]) -> RequestT:
    """Return the typed request, or raise InvalidRequest naming the first field that is wrong."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise _invalid(error, body) from None


def is_stream_id(value: object) -> bool:
    """Tell whether a value may name a stream of events on one socket."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,256}", value) is not None


def check_supported(request: ResponseCreate) -> None:
    """Refuse a turn that has no place, or nothing to be answered."""
    _check_place(request)
    messages = request.messages
    if not messages or messages[-1].role != "user":
        raise InvalidRequest("invalid_input", "input must end with a message of the user", "input")
    if not messages[-1].text.strip():
        raise InvalidRequest("empty_message", "the user's message is empty", "input")


def _check_place(request: ResponseCreate) -> None:
    """Refuse what does not say one place for the turn, or a place where it could never be read."""
    continues = request.conversation_id or request.previous_response_id
    if request.conversation_id and request.previous_response_id:
        message = "give either conversation or previous_response_id, not both"
        raise InvalidRequest("mutually_exclusive_parameters", message, "previous_response_id")
    if request.parent_item_id and not continues:
        message = "parent_item_id is an item of a conversation; give that conversation too"
        raise InvalidRequest("missing_required_parameter", message, "conversation")
    if request.store is False and continues:
        message = "store: false cannot continue a stored conversation; leave store out"
        raise InvalidRequest("unsupported_parameter", message, "store")
    if request.store is False and request.background:
        message = "background: true needs a reply that is stored; leave store or background out"
        raise InvalidRequest("unsupported_parameter", message, "background")


def _invalid(error: ValidationError, body: Mapping[str, Any]) -> InvalidRequest:
    place, meant = _meant(error, body)
    first, where = meant[0], ".".join(map(str, place))
    told = [first["msg"], *(other["msg"].removeprefix("Input should be ") for other in meant[1:])]
    expected = re.sub(r"a valid dictionary or instance of \w+", "an object", " or ".join(dict.fromkeys(told)))
    got = "" if first["type"] == "missing" else f", got {str(first['input'])[:60]!r}"
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_parameter"
    return InvalidRequest(code, f"{where or 'request'}: {expected}{got}", where or None)


def _meant(error: ValidationError, body: Mapping[str, Any]) -> tuple[Place, list[ErrorDetails]]:
    """Return the problems of one field, of those branches of its union that got furthest, or liked its type."""
    placed = [(_place(problem, body), problem) for problem in error.errors(include_url=False)]
    ranks = [(len(place), not problem["type"].endswith("_type")) for place, problem in placed]
    rank, (place, _) = max(zip(ranks, placed, strict=True), key=lambda ranked: ranked[0])
    return place, [its for (where, its), other in zip(placed, ranks, strict=True) if (where, other) == (place, rank)]


def _place(problem: ErrorDetails, body: Mapping[str, Any]) -> Place:
    """Return the fields and indexes that lead to a problem; names of union branches are left out, as in the body."""
    place: Place = []
    value: Any = body
    for part in problem["loc"]:
        is_there = part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int)
        if is_there:
            place.append(part)
            value = value[part]
    return [*place, problem["loc"][-1]] if problem["type"] == "missing" else place

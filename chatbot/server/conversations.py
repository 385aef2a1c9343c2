"""`/v1/conversations`: the eight routes that OpenAI clients know, and the list that they lack."""

from collections.abc import Sequence
from typing import Any

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatbot.conversation.erasing import erasing
from chatbot.conversation.faults import told_in_protocol
from chatbot.conversation.new_turn import new_items
from chatbot.protocol.ids import id_under_key, new_id
from chatbot.protocol.requests import (
    ConversationCreate,
    ConversationUpdate,
    ItemsCreate,
    validate,
)
from chatbot.protocol.resources import (
    conversation_resource,
    deleted_conversation,
    found_conversation,
    item_resource,
    page,
)
from chatbot.server.bodies import DEFAULT_PAGE, MAX_PAGE, query_int, query_order, read_object
from chatbot.server.idempotency import HEADER, idempotency_key
from chatbot.server.services import Services
from storage.errors import AlreadyExists
from storage.records import Conversation, Item
from storage.store import Store

MAX_CHANGE = 2**63 - 1


class _ConversationId(StringConvertor):
    """Any segment of a path but the names of the archive's routes, which would otherwise be tried as ids."""

    regex = "(?!(?:export|import)$)[^/]+"


register_url_convertor("conversation_id", _ConversationId())


class ConversationRoutes:
    """Endpoints of `/v1/conversations`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.store
        self._feed = services.turns.feed

    def routes(self) -> list[Route]:
        one = "/v1/conversations/{id:conversation_id}"
        return [
            Route("/v1/conversations", self.list, methods=["GET"]),
            Route("/v1/conversations", self.create, methods=["POST"]),
            Route(one, self.retrieve, methods=["GET"]),
            Route(one, self.update, methods=["POST"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/items", self.list_items, methods=["GET"]),
            Route(f"{one}/items", self.create_items, methods=["POST"]),
            Route(f"{one}/items/{{item_id}}", self.retrieve_item, methods=["GET"]),
            Route(f"{one}/items/{{item_id}}", self.delete_item, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        limit = query_int(request, "limit", DEFAULT_PAGE, low=1, high=MAX_PAGE)
        before = query_int(request, "before", MAX_CHANGE, low=0, high=MAX_CHANGE)
        title, search = request.query_params.get("title"), request.query_params.get("search", "")
        with told_in_protocol(conversation="after"):
            found = await self._store.conversations(
                limit=limit + 1,
                after=request.query_params.get("after"),
                before=before,
                title=None if title is None else title.strip(),  # as it was when it was given
                search=search,
            )
            resources = await self._listed(found[:limit], search)
        return JSONResponse(page(resources, has_more=len(found) > limit))

    async def create(self, request: Request) -> Response:
        wanted = validate(ConversationCreate, await self._body(request))
        key = idempotency_key(request.headers.get(HEADER))
        await self._check_model(wanted.model)
        conversation_id = new_id("conv") if key is None else id_under_key("conv", key)
        with told_in_protocol():
            conversation = await self._made(conversation_id, wanted)
        self._feed.changed(conversation.id)
        return JSONResponse(conversation_resource(conversation))

    async def _listed(self, conversations: Sequence[Conversation], search: str) -> Sequence[dict[str, Any]]:
        """Return conversations as a list tells them; found by a search, with the place of what was searched for."""
        if not search.strip():
            return [conversation_resource(conversation) for conversation in conversations]
        found = await self._store.found_in([conversation.id for conversation in conversations], search)
        return [found_conversation(each, found.get(each.id), search.split()) for each in conversations]

    async def _made(self, conversation_id: str, wanted: ConversationCreate) -> Conversation:
        """Make a conversation, or return the one that an earlier request with the same key has made."""
        try:
            return await self._store.create_conversation(
                conversation_id,
                title=wanted.title,
                model=wanted.model,
                instructions=wanted.instructions,
                metadata=wanted.metadata or {},
                items=new_items(wanted.items or []),
            )
        except AlreadyExists:
            return await self._store.conversation(conversation_id)

    async def retrieve(self, request: Request) -> Response:
        with told_in_protocol():
            return JSONResponse(conversation_resource(await self._store.conversation(request.path_params["id"])))

    async def update(self, request: Request) -> Response:
        wanted = validate(ConversationUpdate, await self._body(request))
        await self._check_model(wanted.model)
        changes = {name: getattr(wanted, name) for name in wanted.model_fields_set}
        if changes.get("metadata", ()) is None:
            changes["metadata"] = {}
        with told_in_protocol(item_id="active_item_id"):
            conversation = await self._store.update_conversation(request.path_params["id"], **changes)
        self._feed.changed(conversation.id)
        return JSONResponse(conversation_resource(conversation))

    async def delete(self, request: Request) -> Response:
        conversation_id = request.path_params["id"]
        async with erasing(self._services.turns, conversation_id):
            with told_in_protocol():
                await self._store.delete_conversation(conversation_id)
        return JSONResponse(deleted_conversation(conversation_id))

    async def list_items(self, request: Request) -> Response:
        limit = query_int(request, "limit", DEFAULT_PAGE, low=1, high=MAX_PAGE)
        conversation_id, leaf = request.path_params["id"], request.query_params.get("leaf")
        if leaf is not None:
            with told_in_protocol(item_id="leaf"):
                await self._store.conversation(conversation_id)
                await self._store.item(conversation_id, leaf)
        with told_in_protocol(item_id="after"):
            found = await self._store.items(
                conversation_id,
                after=request.query_params.get("after"),
                limit=limit + 1,
                order=query_order(request),
                leaf=leaf,
            )
        return JSONResponse(page(await _versioned(self._store, found[:limit]), has_more=len(found) > limit))

    async def create_items(self, request: Request) -> Response:
        wanted = validate(ItemsCreate, await self._body(request))
        with told_in_protocol():
            added = await self._store.append_items(request.path_params["id"], new_items(wanted.items))
        self._feed.changed(request.path_params["id"])
        return JSONResponse(page([item_resource(item) for item in added], has_more=False))

    async def retrieve_item(self, request: Request) -> Response:
        with told_in_protocol():
            item = await self._store.item(request.path_params["id"], request.path_params["item_id"])
        return JSONResponse((await _versioned(self._store, [item]))[0])

    async def delete_item(self, request: Request) -> Response:
        conversation_id, item_id = request.path_params["id"], request.path_params["item_id"]
        with told_in_protocol():
            async with erasing(self._services.turns, conversation_id, item_id):
                await self._store.delete_item(conversation_id, item_id)
            conversation = await self._store.conversation(conversation_id)
        return JSONResponse(conversation_resource(conversation))

    async def _body(self, request: Request) -> dict[str, object]:
        return await read_object(request, self._services.settings.max_message_bytes)

    async def _check_model(self, name: str | None) -> None:
        if name is not None:
            await self._services.personas.resolve(name)


async def _versioned(store: Store, items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return items of one conversation as resources, each with the ids of its versions."""
    if not items:
        return []
    versions = await store.versions(items[0].conversation_id, items)
    return [item_resource(item) | {"versions": list(versions[item.id])} for item in items]

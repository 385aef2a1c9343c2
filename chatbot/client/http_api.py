"""The HTTP half of the client: models, conversations, items and stored responses.

A request that found no server waits for the connection to come back and is sent again, if sending it twice
is harmless.
"""

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from chatbot.client.connection import is_local
from chatbot.client.errors import ClientClosed, NotFound, RequestRejected, ServerUnreachable, rejection
from chatbot.client.reply import JsonObject
from chatbot.protocol.frames import storable, write_object

if TYPE_CHECKING:
    import httpx

REQUEST_TIMEOUT_S = 30.0
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    data: list[JsonObject]
    has_more: bool
    last_id: str | None


class HttpApi:
    """Typed calls for the routes under `/v1`, and `/health`."""

    def __init__(self, api_key: str | None, *, url: Callable[[], str], wait_live: Callable[[], Awaitable[None]]):
        self._api_key = api_key
        self._url = url
        self._wait_live = wait_live
        self._ways: dict[tuple[bool, bool], httpx.AsyncClient] = {}
        self._is_closed = False

    async def health(self) -> JsonObject:
        """Return the server's status, version and model."""
        return await self._request("GET", "/health")

    async def models(self) -> list[JsonObject]:
        """List the base model and every persona."""
        return list((await self._request("GET", "/v1/models"))["data"])

    async def conversations(
        self, *, limit: int = 100, after: str | None = None, before: int | None = None, search: str | None = None
    ) -> Page:
        """List conversations, newest first; the next page is `before` the `change` of the last one.

        Or `after` its id, which fails if it is deleted by then, and repeats others if it is changed. With `search`,
        only those whose title or one of whose messages has all of its words.
        """
        params = {"limit": limit, "after": after, "before": before, "search": search}
        return await self._page("/v1/conversations", params)

    async def conversation(self, conversation: str) -> JsonObject:
        return await self._request("GET", _path("conversations", conversation))

    async def conversation_titled(self, title: str) -> JsonObject | None:
        """Find the newest conversation with this exact title."""
        page = await self._page("/v1/conversations", {"limit": 1, "title": title})
        return page.data[0] if page.data else None

    async def create_conversation(
        self,
        *,
        title: str | None = None,
        model: str | None = None,
        instructions: str | None = None,
        metadata: JsonObject | None = None,
        items: list[JsonObject] | None = None,
    ) -> JsonObject:
        """Create one conversation, even if an answer is lost, with first messages if any are given, and return it."""
        body = {"title": title, "model": model, "instructions": instructions, "metadata": metadata, "items": items}
        return await self._request("POST", "/v1/conversations", body=without_none(body), key=secrets.token_hex(16))

    async def rename(self, conversation: str, title: str) -> JsonObject:
        return await self._request("POST", _path("conversations", conversation), body={"title": title})

    async def set_model(self, conversation: str, model: str) -> JsonObject:
        """Choose who answers in a conversation from now on."""
        return await self._request("POST", _path("conversations", conversation), body={"model": model})

    async def choose_version(self, conversation: str, item: str) -> JsonObject:
        """Have a conversation go on from a message of another branch, or from the newest of what followed it there."""
        return await self._request("POST", _path("conversations", conversation), body={"active_item_id": item})

    async def delete_conversation(self, conversation: str) -> None:
        await self._request("DELETE", _path("conversations", conversation))

    async def export(self, conversation: str | None = None) -> AsyncIterator[bytes]:
        """Yield all listed conversations, or this one, as lines of JSON, in pieces as they come."""
        import httpx

        path = "/v1/conversations" if conversation is None else _path("conversations", conversation)
        await self.health()  # finds the server, if it has to be found
        try:
            async with self._opened().stream("GET", self._url() + path + "/export", timeout=_without_hurry()) as answer:
                if not answer.is_success:
                    await answer.aread()
                    _body(answer)
                async for piece in answer.aiter_bytes():
                    yield piece
        except httpx.TransportError as error:
            raise ServerUnreachable("the server broke off the export") from error

    async def import_lines(self, lines: AsyncIterable[bytes]) -> JsonObject:
        """Store the conversations of lines such as `export` yields, in pieces of any size, and return what came of it.

        A repeat adds nothing: conversations that are there already stay as they are.
        """
        import httpx

        await self.health()
        url = self._url() + "/v1/conversations/import"
        try:
            return _body(await self._opened().post(url, content=lines, timeout=_without_hurry()))
        except httpx.TransportError as error:
            raise ServerUnreachable("the server broke off the import; repeat it, which doubles nothing") from error

    async def items(self, conversation: str, *, order: str = "asc", limit: int = 100, after: str | None = None) -> Page:
        """List the messages of a conversation."""
        path = _path("conversations", conversation) + "/items"
        return await self._page(path, {"order": order, "limit": limit, "after": after})

    async def item(self, conversation: str, item: str) -> JsonObject:
        """Return a message of a conversation, also one of a branch that is not shown."""
        return await self._request("GET", _item_path(conversation, item))

    async def delete_item(self, conversation: str, item: str) -> None:
        """Delete a message; what follows it moves up."""
        await self._request("DELETE", _item_path(conversation, item))

    async def each_item(
        self, conversation: str, *, order: str = "asc", at_once: int = 100
    ) -> AsyncIterator[JsonObject]:
        """Yield all messages of a conversation, fetched page by page."""
        page = Page([], True, None)
        while page.has_more:
            page = await self.items(conversation, order=order, limit=at_once, after=page.last_id)
            for item in page.data:
                yield item

    async def response(self, response_id: str) -> JsonObject:
        """Return a response as it is stored."""
        return await self._request("GET", _path("responses", response_id))

    async def cancel_response(self, response_id: str) -> JsonObject:
        return await self._request("POST", _path("responses", response_id) + "/cancel")

    async def _question(self, conversation: str, item: str | None) -> JsonObject:
        """Return the message of the user that an item is or answers, by default the newest."""
        if item is None:
            return await self._newest_question(conversation)
        found = await self.item(conversation, item)
        while found["role"] != "user":
            if found["parent_id"] is None:
                raise _without_question(item)
            found = await self.item(conversation, found["parent_id"])
        return found

    async def _newest_question(self, conversation: str) -> JsonObject:
        async for item in self.each_item(conversation, order="desc", at_once=10):
            if item["role"] == "user":
                return item
        raise _without_question(conversation)

    async def _page(self, path: str, params: JsonObject) -> Page:
        given = {name: storable(value) if isinstance(value, str) else value for name, value in params.items()}
        body = await self._request("GET", path, params=without_none(given))
        return Page(list(body["data"]), bool(body.get("has_more")), body.get("last_id"))

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: JsonObject | None = None,
        params: JsonObject | None = None,
        key: str | None = None,
    ) -> JsonObject:
        """Send a request and return its JSON; raise `RequestRejected`, `ServerUnreachable` or `ClientClosed`.

        One whose answer was lost is sent again, unless that might do it twice: a POST without an idempotency key. What
        a DELETE that is sent again does not find, it has deleted before.
        """
        import httpx

        if self._is_closed:
            raise ClientClosed
        if not self._url():
            await self._wait_live()
        content = None if body is None else write_object(body)
        headers = {} if key is None else {"Idempotency-Key": key}
        was_cut_off = False
        for _ in range(ATTEMPTS):
            try:
                answer = await self._opened().request(
                    method, self._url() + path, content=content, params=params, headers=headers
                )
            except httpx.ConnectError:
                await self._wait_live()  # it never arrived: safe to send again
            except httpx.TransportError as error:
                if method == "POST" and key is None:
                    raise ServerUnreachable(f"the server broke off {method} {path}") from error
                was_cut_off = True
                await self._wait_live()
            except httpx.InvalidURL as error:
                raise RequestRejected(f"this cannot be asked for: {error}") from error
            else:
                is_gone = was_cut_off and method == "DELETE" and answer.status_code == 404
                return {} if is_gone else _body(answer)
        raise ServerUnreachable(f"no server answers at {self._url()}")

    def _opened(self) -> "httpx.AsyncClient":
        """Return what leads to the server; one that is found later may have to be reached in another way."""
        way = (urlsplit(self._url()).scheme != "http", not is_local(self._url()))
        if way not in self._ways:
            self._ways[way] = self._open_http(*way)
        return self._ways[way]

    def _open_http(self, is_encrypted: bool, may_be_behind_proxy: bool) -> "httpx.AsyncClient":
        import httpx

        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return httpx.AsyncClient(
            headers=headers,
            timeout=REQUEST_TIMEOUT_S,
            trust_env=may_be_behind_proxy,
            verify=is_encrypted,  # else the 30 ms would be lost that reading every certificate takes
        )

    async def _close_http(self) -> None:
        self._is_closed = True
        for http in self._ways.values():
            await http.aclose()


def _without_hurry() -> "httpx.Timeout":
    """For what takes as long as there is much of it."""
    import httpx

    return httpx.Timeout(None, connect=REQUEST_TIMEOUT_S)


def _item_path(conversation: str, item: str) -> str:
    return _path("conversations", conversation) + "/items/" + quote(item, safe="")


def _without_question(where: str) -> NotFound:
    return NotFound(f"there is no message to answer in {where}", code="item_not_found", status=404)


def _path(collection: str, name: str) -> str:
    return f"/v1/{collection}/{quote(storable(name), safe='')}"


def without_none(fields: JsonObject) -> JsonObject:
    """Return the fields that say something."""
    return {name: value for name, value in fields.items() if value is not None}


def _body(answer: "httpx.Response") -> JsonObject:
    try:
        body: JsonObject = answer.json() if answer.content else {}
    except ValueError:
        body = {}
    if not answer.is_success:
        error = body.get("error")
        raise rejection(answer.status_code, error if isinstance(error, dict) else {})
    return body

"""A small server that speaks our protocol from memory, and can be told to pause, to drop sockets and to die.

It has the real one's promises (log and cursors, idempotency keys, one turn at a time per conversation) and
none of its parts, so that client and screens are tested without a model.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

# Any: JSON as it goes over the wire.
Json = dict[str, Any]

MAX_PAGE = 1000
ASSISTANT = {"type": "message", "role": "assistant"}


class FakeResponse:
    """One reply: its log, and a gate that holds it before a given piece of text."""

    def __init__(self, response_id: str, conversation: str | None, model: str, pieces: list[str]) -> None:
        self.body: Json = {"id": response_id, "object": "response", "status": "queued", "model": model}
        self.body |= {"conversation": {"id": conversation} if conversation else None, "output": []}
        self.pieces = pieces
        self.log: list[Json] = []
        self.grown = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.item: Json = ASSISTANT | {"id": f"msg_{response_id}", "response_id": response_id, "model": model}

    @property
    def conversation(self) -> str | None:
        return (self.body["conversation"] or {}).get("id")

    @property
    def is_ended(self) -> bool:
        return self.body["status"] not in ("queued", "in_progress")

    def emit(self, kind: str, **fields: Any) -> None:
        self.log.append({"type": kind, "sequence_number": len(self.log), "response_id": self.body["id"], **fields})
        self.grown.set()
        self.grown = asyncio.Event()

    def set_text(self, text: str, status: str) -> None:
        part = {"type": "output_text", "text": text, "annotations": []}
        self.item |= {"status": status, "content": [part]}
        self.body["output"] = [dict(self.item)]

    async def events(self, starting_after: int) -> AsyncIterator[Json]:
        position = starting_after + 1
        while True:
            grown = self.grown
            for event in self.log[position:]:
                yield event
                if event["type"] in ("response.completed", "response.incomplete", "response.failed"):
                    return
            position = max(position, len(self.log))
            await grown.wait()


class FakeServer:
    """Start it with `running()`; change `pieces`, `gate`, `cut_after` and `refusal` to shape what comes."""

    def __init__(self) -> None:
        self.pieces = ["Hello", " ", "there", "."]
        self.gate = asyncio.Event()
        """While clear, replies wait before `hold_at`; set by default."""
        self.gate.set()
        self.hold_at = 1
        self.cut_after: list[int] = []
        """Each entry lets the next socket send that many events, then drops it."""
        self.refusal: Json | None = None
        self.ending = "completed"
        self.models = [("chatbot-mini", False), ("pirate", True), ("poet", True)]
        self.conversations: dict[str, Json] = {}
        self.items: dict[str, list[Json]] = {}
        self.responses: dict[str, FakeResponse] = {}
        self.keys: dict[str, FakeResponse] = {}
        self.creates: list[Json] = []
        self.attached = asyncio.Event()
        self.denies = False
        self.refuses_changes = False
        self.accepts = True
        """While False, sockets are refused."""
        self.locks: dict[str, asyncio.Lock] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.sockets: set[WebSocket] = set()
        self.watchers: set[_Wire] = set()
        self.changes = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FakeServer"]:
        """Serve on a loopback port; entering again after leaving uses the same port and keeps all data."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.app(),
            ws="websockets-sansio",
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = _QuietServer(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield self
        finally:
            server.force_exit = True
            server.stop.set()
            await task
            listener.close()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", lambda _: JSONResponse({"status": "ok"})),
                Route("/v1/models", self.list_models),
                Route("/v1/conversations", self.list_or_create, methods=["GET", "POST"]),
                Route("/v1/conversations/{id}", self.one_conversation, methods=["GET", "POST", "DELETE"]),
                Route("/v1/conversations/{id}/items", self.list_items),
                Route("/v1/responses/{id}", self.get_response),
                Route("/v1/responses/{id}/cancel", self.cancel, methods=["POST"]),
                WebSocketRoute("/v1/responses", self.talk),
            ]
        )

    def add_conversation(self, title: str, *turns: tuple[str, str], model: str | None = None) -> str:
        """Put a finished conversation in place; `turns` are (user, assistant) pairs."""
        number = len(self.conversations) + 1
        name = f"conv_{number}"
        row: Json = {"id": name, "object": "conversation", "title": title or None, "model": model}
        self.changes += 1
        self.conversations[name] = row | {"created_at": number, "metadata": {}, "change": self.changes}
        self.items[name] = []
        for said, answered in turns:
            self._add_item(name, "user", "input_text", said)
            self._add_item(name, "assistant", "output_text", answered)
        return name

    def say_elsewhere(self, conversation: str, said: str, answered: str) -> None:
        """Add a turn of another client, and tell nobody of it yet."""
        self._add_item(conversation, "user", "input_text", said)
        self._add_item(conversation, "assistant", "output_text", answered)

    def begin_elsewhere(self, conversation: str, said: str) -> FakeResponse:
        """Begin a turn of another client and tell who watches."""
        frame: Json = {"conversation": conversation, "input": said, "idempotency_key": f"elsewhere_{len(self.keys)}"}
        return self._create(frame)

    async def tell_made(self, conversation: str) -> None:
        """Tell who watches of a new conversation, before its maker is answered."""
        self.tell_change(conversation)

    def tell_change(self, conversation: str | None) -> None:
        """Tell who watches that a conversation changed or is gone."""
        if conversation is None:
            return
        self.changes += 1
        row = self.conversations.get(conversation)
        event: Json = {"type": "chatbot:conversation.deleted", "conversation": {"id": conversation, "deleted": True}}
        if row is not None:
            row["change"] = self.changes
            running = [r for r in self.responses.values() if r.conversation == conversation and not r.is_ended]
            event = {"type": "chatbot:conversation.updated", "conversation": dict(row)}
            event["running_response_id"] = running[0].body["id"] if running else None
        for wire in self.watchers:
            self._spawn(_sent(wire, event))

    def _branch_off(self, conversation: str, parent: str | None) -> None:
        """Leave the branch that is shown: the next item comes after `parent`."""
        ids = [None, *(item["id"] for item in self.items[conversation])]
        del self.items[conversation][ids.index(parent) :]

    def _add_item(self, conversation: str, role: str, kind: str, text: str) -> None:
        item_id = f"msg_{conversation}_{len(self.items[conversation])}"
        content = [{"type": kind, "text": text}]
        item = {"id": item_id, "type": "message", "role": role, "status": "completed", "content": content}
        self._append(conversation, item)

    def _append(self, conversation: str, item: Json) -> None:
        items = self.items.setdefault(conversation, [])
        item["parent_id"] = items[-1]["id"] if items else None
        items.append(item)

    async def list_models(self, _: Request) -> JSONResponse:
        data = [{"id": name, "object": "model", "chatbot": {"persona": persona}} for name, persona in self.models]
        return JSONResponse({"object": "list", "data": data})

    async def list_or_create(self, request: Request) -> JSONResponse:
        if request.method == "POST":
            body = await request.json()
            name = self.add_conversation(body.get("title") or "", model=body.get("model"))
            await self.tell_made(name)
            return JSONResponse(self.conversations[name])
        before = int(request.query_params.get("before", self.changes + 1))
        title = request.query_params.get("title")
        words = request.query_params.get("search", "").lower().split()
        newest_first = sorted(self.conversations.values(), key=lambda row: -row["change"])
        found = [row for row in newest_first if row["change"] < before and title in (None, row["title"])]
        return _page([row for row in found if self._says_all(row, words)], request)

    def _says_all(self, row: Json, words: list[str]) -> bool:
        texts = [row["title"] or "", *("".join(part["text"] for part in i["content"]) for i in self.items[row["id"]])]
        return any(all(word in text.lower() for word in words) for text in texts)

    async def one_conversation(self, request: Request) -> JSONResponse:
        name = request.path_params["id"]
        if name not in self.conversations:
            return _error(404, "not_found", f"no conversation {name}")
        if request.method == "DELETE":
            del self.conversations[name], self.items[name]
            self.tell_change(name)
            return JSONResponse({"id": name, "deleted": True})
        if self.refuses_changes and request.method != "GET":
            return _error(400, "invalid_value", "this cannot be changed")
        if request.method == "POST":
            self.conversations[name] |= await request.json()
            self.tell_change(name)
        return JSONResponse(self.conversations[name])

    async def list_items(self, request: Request) -> JSONResponse:
        items = self.items.get(request.path_params["id"])
        if items is None:
            return _error(404, "not_found", "no such conversation")
        ordered = items[::-1] if request.query_params.get("order") == "desc" else items
        return _page(ordered, request)

    async def get_response(self, request: Request) -> JSONResponse:
        response = self.responses.get(request.path_params["id"])
        return JSONResponse(response.body) if response else _error(404, "not_found", "no such response")

    async def cancel(self, request: Request) -> JSONResponse:
        response = self.responses[request.path_params["id"]]
        response.cancelled.set()
        return JSONResponse(response.body)

    async def talk(self, ws: WebSocket) -> None:
        if self.denies:
            await ws.send_denial_response(_error(401, "invalid_api_key", "wrong API key"))
            return
        if not self.accepts:
            await ws.send_denial_response(JSONResponse({}, 503))
            return
        await ws.accept()
        self.sockets.add(ws)
        wire = _Wire(ws, self.cut_after.pop(0) if self.cut_after else None)
        try:
            while True:
                self._handle(await ws.receive_json(), wire)
        except WebSocketDisconnect:
            pass
        finally:
            self.sockets.discard(ws)
            self.watchers.discard(wire)

    async def drop_sockets(self) -> None:
        """Close every socket, as a network would."""
        for ws in list(self.sockets):
            await ws.close(1011)

    def _handle(self, frame: Json, wire: "_Wire") -> None:
        if frame["type"] == "response.create":
            self.creates.append(frame)
            if self.refusal:
                self._spawn(wire.send({"type": "error", "event_id": frame["event_id"], **self.refusal}))
                return
            self._spawn(self._follow(self._create(frame), -1, wire, frame["stream_id"]))
        if frame["type"] == "chatbot:conversations.watch":
            self.watchers.add(wire)
            self._spawn(_sent(wire, {"type": "chatbot:conversations.watched"}))
        if frame["type"] == "chatbot:response.attach":
            response = self.responses[frame["response_id"]]
            self.attached.set()
            self._spawn(self._follow(response, frame["starting_after"], wire, frame["stream_id"]))

    def _create(self, frame: Json) -> FakeResponse:
        key = frame["idempotency_key"]
        if key not in self.keys:
            name = f"resp_{len(self.responses) + 1}"
            model = frame.get("model") or "chatbot-mini"
            response = FakeResponse(name, frame.get("conversation"), model, list(self.pieces))
            self.keys[key] = self.responses[name] = response
            if "parent_item_id" in frame:
                self._branch_off(frame["conversation"], frame["parent_item_id"])
            if frame.get("conversation"):
                self._add_item(frame["conversation"], "user", "input_text", frame["input"])
                row = self.conversations[frame["conversation"]]
                row["title"] = row["title"] or frame["input"][:40]
            response.set_text("", "in_progress")
            self._append(str(response.conversation or name), response.item)
            response.emit("response.created", response=dict(response.body))
            self._spawn(self._answer(response))
            self.tell_change(response.conversation)
        return self.keys[key]

    async def _answer(self, response: FakeResponse) -> None:
        conversation = str((response.body["conversation"] or response.body)["id"])
        async with self.locks.setdefault(conversation, asyncio.Lock()):
            response.body["status"] = "in_progress"
            response.emit("response.in_progress", response=dict(response.body))
            text = ""
            for number, piece in enumerate(response.pieces):
                if number == self.hold_at:
                    await _either(self.gate.wait(), response.cancelled.wait())
                if response.cancelled.is_set():
                    break
                text += piece
                response.emit("response.output_text.delta", delta=piece, item_id=response.item["id"])
                await asyncio.sleep(0)
            self._finish(response, text)

    def _finish(self, response: FakeResponse, text: str) -> None:
        status = "cancelled" if response.cancelled.is_set() else self.ending
        response.set_text(text, "completed" if status == "completed" else "incomplete")
        usage = {"input_tokens": 20, "output_tokens": len(response.pieces), "total_tokens": 24}
        response.body |= {"status": status, "usage": usage}
        if status == "incomplete":
            response.body["incomplete_details"] = {"reason": "server_restart"}
        if status == "failed":
            response.body["error"] = {"code": "engine_error", "message": "the engine failed"}
        kind = {"completed": "completed", "failed": "failed"}.get(status, "incomplete")
        response.emit(f"response.{kind}", response=dict(response.body))
        self.tell_change(response.conversation)

    async def _follow(
        self, response: FakeResponse, starting_after: int, wire: "_Wire", stream_id: str | None = None
    ) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            async for event in response.events(starting_after):
                await wire.send(event | ({"stream_id": stream_id} if stream_id else {}))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class _QuietServer(uvicorn.Server):
    """Leaves the process's signals alone, and ends at once (uvicorn looks ten times a second)."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stop.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Wire:
    """A socket that drops after a number of events."""

    def __init__(self, ws: WebSocket, events_left: int | None) -> None:
        self.ws = ws
        self.events_left = events_left

    async def send(self, event: Json) -> None:
        if self.events_left == 0:
            await self.ws.close(1011)
            raise WebSocketDisconnect(1011)
        if self.events_left is not None:
            self.events_left -= 1
        await self.ws.send_text(json.dumps(event))


async def _sent(wire: _Wire, event: Json) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await wire.send(event)


async def _either(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _page(rows: list[Json], request: Request) -> JSONResponse:
    after, limit = request.query_params.get("after"), int(request.query_params.get("limit", 20))
    if limit > MAX_PAGE:
        return _error(400, "invalid_value", f"limit: expected at most {MAX_PAGE}, got {limit}")
    if after and all(row["id"] != after for row in rows):
        return _error(404, "item_not_found", f"no {after}")
    start = next((n + 1 for n, row in enumerate(rows) if row["id"] == after), 0)
    page = rows[start : start + limit]
    last_id = page[-1]["id"] if page else None
    return JSONResponse({"object": "list", "data": page, "has_more": start + limit < len(rows), "last_id": last_id})


def _error(status: int, code: str, message: str) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
    return JSONResponse({"error": error}, status)

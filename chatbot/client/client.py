"""The client people use: sends that never double, replies that survive a dropped socket.

Invariant: at most one send is unacknowledged at a time, so that messages are stored in the order they were sent.
A send waits only for the acknowledgement of the one before it, never for a reply.
"""

import asyncio
import re
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from chatbot.client.connection import Backoff, Connection, ConnectionState, Ensure
from chatbot.client.errors import ChatbotError, ClientClosed, NotFound, RequestRejected, rejection
from chatbot.client.http_api import HttpApi, without_none
from chatbot.client.isolated import isolated
from chatbot.client.reply import Event, JsonObject, Reply, item_text
from chatbot.protocol.frames import write_object

DEFAULT_PATIENCE_S = 30.0
AGAIN_TEMPERATURE = 0.8
"""For a message that is answered anew; at 0.3 the bundled model gives the same answer more often than another."""


@dataclass(slots=True)
class _Unacknowledged:
    """A send that waits for its `response.created`."""

    frame: Event
    reply: "asyncio.Future[Reply]"


class Client(HttpApi):
    """Talks to one chatbot server: turns over a WebSocket that is opened when needed, the rest over HTTP."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        ensure: Ensure | None = None,
        patience_s: float | None = DEFAULT_PATIENCE_S,
        backoff: Backoff | None = None,
        on_state: Callable[[ConnectionState], None] = lambda state: None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """`ensure` finds or starts a server when none answers; `patience_s=None` never gives up.

        An empty `url` means that no address is known yet: `ensure` is asked before anything is sent.

        `on_event` gets what belongs to no reply of this client, such as what `watch()` brings. What it or `on_state`
        raises goes to the exception handler of the event loop, which logs it, and stops nothing.

        Raises ValueError for an address that no server could have.
        """
        if url and not re.match(r"(http|ws)s?://[^/]", url):
            raise ValueError(f"url: expected an address such as http://127.0.0.1:8765, got {url!r}")
        self._connection = Connection(
            url.rstrip("/"),
            api_key=api_key,
            ensure=ensure,
            patience_s=patience_s,
            backoff=backoff or Backoff(),
            on_live=self._say_again,
            on_event=self._route,
            on_state=isolated(on_state),
            on_gone=self._fail_all,
            on_too_large=self._refuse_send,
        )
        super().__init__(api_key, url=lambda: self._connection.url, wait_live=self._connection.wait_live)
        self._on_stray_event = isolated(on_event)
        self._replies: dict[str, Reply] = {}
        """By the `stream_id` under which each is read: several may follow one response."""
        self._unacknowledged: _Unacknowledged | None = None
        self._standing: list[Event] = []
        """What every new socket is asked for."""
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where the server is now; `ensure` may move it."""
        return self._connection.url

    @property
    def state(self) -> ConnectionState:
        return self._connection.state

    @property
    def ended_by(self) -> ChatbotError | None:
        """Why the server is not tried any more, once the state is `ended`."""
        return self._connection.ended_by

    async def connect(self) -> None:
        """Open the WebSocket now instead of at the first send."""
        await self._connection.wait_live()

    async def close(self) -> None:
        """Close the socket for good; what waits or comes later gets ClientClosed. Replies go on at the server."""
        self._fail_all(ClientClosed())
        for task in self._tasks:
            task.cancel()
        await self._connection.close()
        await self._close_http()

    async def send(
        self,
        text: str | list[JsonObject],
        *,
        conversation: str | None = None,
        model: str | None = None,
        instructions: str | None = None,
        idempotency_key: str | None = None,
        **options: object,
    ) -> Reply:
        """Send a turn and return its reply once the server has stored the message.

        `options` are further fields of `response.create`, such as `temperature` or `previous_response_id`; one that is
        None goes out as null.
        """
        send_id = f"send_{uuid.uuid4().hex}"
        frame: Event = {"type": "response.create", "input": text, "conversation": conversation, "model": model}
        frame |= {"instructions": instructions, "idempotency_key": idempotency_key or send_id}
        frame |= {"event_id": send_id, "stream_id": send_id}
        async with self._sending:
            waiting = _Unacknowledged(without_none(frame) | options, asyncio.get_running_loop().create_future())
            self._unacknowledged = waiting
            try:
                await self._connection.send(waiting.frame)
                return await waiting.reply
            finally:
                self._unacknowledged = None

    # Any: `send` says what each of the options is.
    async def retry(
        self, text: str | None = None, *, conversation: str, item: str | None = None, **options: Any
    ) -> Reply:
        """Have a message of the user answered anew, or `text` in its place; `options` as for `send`.

        It is the newest of the conversation, or the one whose id `item` is; for a reply's id, the one that it answers.
        The same message is answered at a temperature of 0.8 by default: who asks again wants another answer.

        Message and reply become a branch beside those that were there, with all that followed them: nothing is lost.
        Raises `NotFound` where no user said anything.
        """
        if text is None:
            options = {"temperature": AGAIN_TEMPERATURE} | options
        asked = await self._question(conversation, item)
        said = item_text(asked) if text is None else text
        return await self.send(said, conversation=conversation, parent_item_id=asked["parent_id"], **options)

    async def attach(self, response_id: str, *, starting_after: int = -1) -> Reply:
        """Follow a response from a point in its log: -1 brings everything from the start."""
        reply = Reply({"id": response_id}, cancel=self._cancel, starting_after=starting_after)
        stream_id = f"attach_{uuid.uuid4().hex}"
        self._replies[stream_id] = reply
        try:
            await self._connection.send(_attach_frame(stream_id, reply))
        except BaseException:
            self._replies.pop(stream_id, None)
            raise
        return reply

    async def watch(self) -> None:
        """Be told through `on_event` of every conversation that is made, changed or deleted.

        `chatbot:conversations.watched` comes first, and again after a lost socket: then read the list.
        """
        await self._keep_asking({"type": "chatbot:conversations.watch", "event_id": "watch"})

    async def subscribe(self, conversation: str) -> None:
        """Receive what other clients do in a conversation, through `on_event`, until it is deleted.

        `chatbot:conversation.subscribed` comes first, and again after a lost socket or where too much was not read in
        time: then read the items. Raises `NotFound` if there is none with this id.
        """
        await self.conversation(conversation)
        await self._keep_asking(_subscribe_frame(conversation))

    async def unsubscribe(self, conversation: str) -> None:
        """Receive no more of a conversation, once `chatbot:conversation.unsubscribed` has come."""
        self._standing = [frame for frame in self._standing if frame != _subscribe_frame(conversation)]
        if self.state == "live":
            frame = {"type": "chatbot:conversation.unsubscribe", "conversation": conversation}
            await self._connection.send(frame | {"event_id": f"unsubscribe_{conversation}"})

    async def _keep_asking(self, frame: Event) -> None:
        """Send a frame whose answer never ends; it is sent on every new socket too."""
        if frame not in self._standing:
            self._standing.append(frame)
            await self._connection.send(frame)
        await self._connection.wait_live()

    async def _cancel(self, response_id: str) -> None:
        """Cancel over HTTP: unlike a frame, the request is known to have arrived."""
        await self.cancel_response(response_id)

    def _route(self, event: Event) -> None:
        """Hand an event to the send or reply it belongs to."""
        if event.get("type") == "error":
            self._route_error(event)
            return
        stream_id = str(event.get("stream_id") or "")
        if event.get("type") == "response.created" and stream_id not in self._replies:
            self._acknowledge(event)
        reply = self._replies.get(stream_id)
        if reply is not None:
            reply.receive(event)
            if reply.is_finished:
                del self._replies[stream_id]
        elif not stream_id and event.get("response_id") not in {followed.id for followed in self._replies.values()}:
            self._on_stray_event(event)  # one with a stream_id was asked for by a send that was given up

    def _acknowledge(self, created: Event) -> None:
        """Give the waiting send its reply. Events carry the `stream_id` of the frame that asked for them."""
        waiting = self._unacknowledged
        if waiting and not waiting.reply.done() and created.get("stream_id") == waiting.frame["stream_id"]:
            reply = Reply(created["response"], cancel=self._cancel)
            self._replies[waiting.frame["stream_id"]] = reply
            waiting.reply.set_result(reply)

    def _route_error(self, event: Event) -> None:
        """An error carries the ids of the frame it answers, or none if that could not be read."""
        error = rejection(int(event.get("status") or 0), event.get("error") or {})
        waiting, frame_id = self._unacknowledged, event.get("event_id") or event.get("stream_id")
        if waiting and frame_id in (None, waiting.frame["event_id"]):
            is_put_off = error.code == "server_draining"  # its sockets close in a moment: the next one says it again
            if not is_put_off and not waiting.reply.done():
                waiting.reply.set_exception(error)
        elif reply := self._replies.pop(str(frame_id), None):
            reply.fail(error)
        elif not event.get("stream_id"):
            if isinstance(error, NotFound) or error.code == "too_many_subscriptions":  # it is not for every socket
                self._standing = [frame for frame in self._standing if frame["event_id"] != frame_id]
            self._on_stray_event(event)

    def _say_again(self) -> None:
        """On a new socket: ask for what was asked for, repeat the unacknowledged send, take up every running reply."""
        for frame in self._standing:
            self._spawn(self._send_frame(frame))
        if self._unacknowledged and not self._unacknowledged.reply.done():
            self._spawn(self._send_frame(self._unacknowledged.frame))
        for stream_id, reply in self._replies.items():
            self._spawn(self._send_frame(_attach_frame(stream_id, reply)))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_frame(self, frame: Event) -> None:
        await self._connection.send(frame)

    def _refuse_send(self) -> None:
        """Give up the unacknowledged send: saying it again would close the next socket too."""
        if self._unacknowledged and not self._unacknowledged.reply.done():
            size = len(write_object(self._unacknowledged.frame).encode())
            message = f"the message is larger than the server takes: {size} bytes as it is sent; shorten or split it"
            self._unacknowledged.reply.set_exception(RequestRejected(message, code="message_too_large", status=413))

    def _fail_all(self, error: ChatbotError) -> None:
        """Patience has run out: nothing that waits will come."""
        if self._unacknowledged and not self._unacknowledged.reply.done():
            self._unacknowledged.reply.set_exception(error)
        for reply in self._replies.values():
            reply.fail(error)
        self._replies.clear()


def _subscribe_frame(conversation: str) -> Event:
    frame = {"type": "chatbot:conversation.subscribe", "conversation": conversation}
    return frame | {"event_id": f"subscribe_{conversation}"}


def _attach_frame(stream_id: str, reply: Reply) -> Event:
    return {
        "type": "chatbot:response.attach",
        "stream_id": stream_id,
        "response_id": reply.id,
        "starting_after": reply.last_sequence,
    }

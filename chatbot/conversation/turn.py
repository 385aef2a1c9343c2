"""A turn: input -> stored item -> context -> engine -> stored reply.

The user's message and the response row are committed before anybody hears of them (`response.created` is the
acknowledgement). From then on the turn belongs to the server: sockets come and go as readers of its log.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

from chatbot.conversation.context import ContextTooLong, shown_items
from chatbot.conversation.faults import told_in_protocol
from chatbot.conversation.feed import Feed
from chatbot.conversation.lane import Lanes
from chatbot.conversation.late import Late
from chatbot.conversation.new_turn import fingerprint, new_turn
from chatbot.conversation.personas import Persona
from chatbot.conversation.reply import Backend, Reply
from chatbot.conversation.stream import ResponseLog
from chatbot.engine.base import ChatMessage, ModelNotLoaded
from chatbot.protocol.errors import Unavailable
from chatbot.protocol.requests import ResponseCreate, check_supported
from storage.errors import PreviousResponseNotFound, ResponseNotFound
from storage.records import Conversation, NewTurn, Response

T = TypeVar("T")
DRAIN_STEP_S = 0.2


class Turns:
    """Begins, finds, cancels and drains turns."""

    def __init__(
        self,
        backend: Backend,
        *,
        instructions: str,
        max_queued_turns: int,
        on_settled: Callable[[Response], None] = lambda _: None,
    ) -> None:
        """`on_settled` is told of every reply that has ended, before its readers are."""
        self._backend = backend
        self._on_settled = on_settled
        self._store = backend.store
        self._instructions = instructions
        self._lanes = Lanes(max_queued_turns)
        self._replies: dict[str, Reply] = {}
        self._beginning: dict[str, asyncio.Task[ResponseLog]] = {}
        """Turns that are being stored: who reads may see a commit before it is heard of here."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_draining = False
        self.feed = Feed()
        self._late = Late(lambda log: self.feed.changed(log.response.conversation_id))

    @property
    def running_count(self) -> int:
        return len(self._replies)

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    async def create(self, request: ResponseCreate, idempotency_key: str | None = None) -> ResponseLog:
        """Store the user's input, start the reply and return its log; the input is durable when this returns.

        The same idempotency key with the same request gives the log of the first call. Raises ProtocolError.
        """
        check_supported(request)
        with told_in_protocol():
            if idempotency_key is not None:
                earlier = await self._store.response_under_key(
                    idempotency_key, fingerprint(request), may_be_gone=request.store is False
                )
                if earlier is not None and (self._known(earlier.id) or earlier.completed_at is not None):
                    return self._log_of(earlier)
            conversation = await self._conversation(request)
            persona = await self._backend.personas.answering(request.model, conversation)
            system = self._system_prompt(request, conversation, persona)
            turn = new_turn(request, conversation, persona, idempotency_key)
            standing = [system, *await self._store.instructions_before(turn)]
            await asyncio.to_thread(self._check_fits, standing, request)
            if self._is_draining:  # not before: a repeat of what is stored already is not refused
                raise Unavailable("server_draining", "the server is stopping; connect again in a moment")
            place = ExitStack()
            place.enter_context(self._backend.engine.place(request.asks_for))
            # A caller that goes away must not leave a stored turn that nobody runs.
            begun = self._spawn(self._begin(turn, request, persona, system, place))
            self._beginning[turn.response_id] = begun
            begun.add_done_callback(lambda _: self._beginning.pop(turn.response_id))
            try:
                return await asyncio.shield(begun)
            except asyncio.CancelledError:
                if request.store is False:  # nobody else can ever read it
                    begun.add_done_callback(lambda _: self.stop(turn.response_id))
                raise

    async def attach(self, response_id: str) -> ResponseLog:
        """Return the log of a response, running or settled. Raises NotFound."""
        await self._begun(response_id)
        if (log := self._known(response_id)) is not None:
            return log
        with told_in_protocol():
            return self._log_of(await self._store.response(response_id))

    async def cancel(self, response_id: str) -> Response:
        """Stop a reply within one step of the engine and return it as stored; a settled one stays as it is."""
        await self._begun(response_id)
        reply = self._replies.get(response_id)
        if reply is None:
            with told_in_protocol():
                return await self._store.response(response_id)
        reply.stop("cancelled")
        return await reply.log.wait_closed()

    def stop(self, response_id: str) -> None:
        """Cancel a reply without waiting for its end; a settled or unknown one is left alone."""
        reply = self._replies.get(response_id)
        if reply is not None:
            reply.stop("cancelled")

    async def cancel_all(self, conversation_id: str, item_id: str | None = None) -> None:
        """Stop a conversation's replies, or those that show the model or write an item, and wait for their ends."""
        while logs := [log for log in self.running_in(conversation_id) if item_id in (None, *_item_ids(log))]:
            for log in logs:
                await self.cancel(log.response.id)

    async def forget(self, conversation_id: str) -> None:
        """Leave nothing of what memory and engine keep of a conversation between its turns."""
        self._backend.pasts.forget(conversation_id)
        await self._backend.engine.forget(conversation_id)

    def running_in(self, conversation_id: str) -> list[ResponseLog]:
        """Return the logs of a conversation's replies that have not ended, oldest first."""
        logs = [reply.log for reply in self._replies.values()]
        return [log for log in logs if log.response.conversation_id == conversation_id]

    def queue_position(self, response_id: str) -> int:
        """Return how many turns were ahead of this one when it was accepted; 0 when it is settled."""
        reply = self._replies.get(response_id)
        return reply.queue_position if reply else 0

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new turns, wait for the running ones, and cut off what is left after the timeout.

        Tell whether there were any: their readers have yet to hear of the end.
        """
        self._is_draining, was_busy = True, bool(self._tasks)
        deadline = time.monotonic() + timeout_s
        while self._tasks and (left_s := deadline - time.monotonic()) > 0:  # a begin spawns its run
            await asyncio.wait(self._tasks, timeout=left_s)
        while self._tasks:  # again and again: a reply may have been about to begin
            for reply in self._replies.values():
                reply.stop("incomplete")
            await asyncio.wait(self._tasks, timeout=DRAIN_STEP_S)
        await self._late.stop()
        return was_busy

    async def _conversation(self, request: ResponseCreate) -> Conversation | None:
        if request.conversation_id is not None:
            return await self._store.conversation(request.conversation_id)
        if request.previous_response_id is not None:
            try:
                previous = await self._store.response(request.previous_response_id)
            except ResponseNotFound as error:
                raise PreviousResponseNotFound(*error.args) from None
            return await self._store.conversation(previous.conversation_id)
        return None

    def _system_prompt(self, request: ResponseCreate, conversation: Conversation | None, persona: Persona) -> str:
        """Return the nearest system prompt: the turn's, the conversation's, the persona's, for the base the server's.

        An adapter without one was trained without one, and gets none.
        """
        own = conversation.instructions if conversation else None
        nearest = (text for text in (request.instructions, own, persona.system) if text is not None)
        return next(nearest, self._instructions if persona.folder is None else "")

    def _check_fits(self, standing: Sequence[str], request: ResponseCreate) -> None:
        """Refuse a message that could never be answered, with the system messages before it, unstored.

        While the model is still being loaded, nobody can tell: the reply then fails.
        """
        own = [message.text for message in request.messages[:-1] if message.role in ("system", "developer")]
        system = "\n".join(text for text in (*standing, *own) if text)
        messages = [ChatMessage("system", system)] if system else []
        messages.append(ChatMessage("user", request.messages[-1].text))
        try:
            tokens = self._backend.engine.count_tokens(messages)
        except ModelNotLoaded:
            return
        budget = self._backend.limits.budget_tokens(request, self._backend.engine.base.context_tokens)
        if tokens > budget:
            raise ContextTooLong(tokens, budget)

    async def _begin(
        self, turn: NewTurn, request: ResponseCreate, persona: Persona, system: str, place: ExitStack
    ) -> ResponseLog:
        """Store the turn and start its reply, which holds its places in the engine and the lane until it ends."""
        with place as holding:
            holding.enter_context(self._lanes.place(turn.conversation_id or turn.response_id))
            response, is_new = await self._store.begin_turn(turn)
            if not is_new:
                return self._log_of(response)
            reply = Reply(response, request, persona, system, len(self.running_in(response.conversation_id)))
            self._replies[response.id] = reply
            self._spawn(self._run(reply, holding.pop_all()))
        if turn.conversation_id is not None:  # of one made just now, in hiding, nobody knows
            self.feed.begun(reply.log)
        return reply.log

    async def _begun(self, response_id: str) -> None:
        """Wait for a turn that is being stored, if this is one: until then it has no log, though it can be read."""
        if (begun := self._beginning.get(response_id)) is not None:
            await asyncio.wait({begun})

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, reply: Reply, holding: ExitStack) -> None:
        lane = self._lanes.turn(reply.log.response.conversation_id)
        settled: Response | None = None
        try:
            with holding:
                settled = await reply.run(lane, self._backend)
            self._on_settled(settled)
        finally:  # whatever is raised, who waits for the end is told one
            del self._replies[reply.log.response.id]
            reply.log.close(settled or reply.failed())
        if reply.request.store is False:
            await self._drop(reply)
            return
        if reply.unstored is not None:
            self._late.go_on(reply.log, reply.unstored)
        self.feed.changed(settled.conversation_id)

    async def _drop(self, reply: Reply) -> None:
        """Leave nothing of a reply that is not to be stored: first in the engine, which needs no room on a disk."""
        response = reply.log.response
        try:
            if reply.request.is_stateless:
                self._backend.pasts.forget(response.conversation_id)
            else:
                await self.forget(response.conversation_id)
        finally:
            await self._late.write(reply.log, partial(self._store.delete_response, response.id, erases="soon"))

    def _known(self, response_id: str) -> ResponseLog | None:
        """Return the log of a reply that is on its way, or not written as it ended so far."""
        reply = self._replies.get(response_id)
        return reply.log if reply else self._late.find(response_id)

    def _log_of(self, response: Response) -> ResponseLog:
        return self._known(response.id) or ResponseLog.settled(response)


def _item_ids(log: ResponseLog) -> tuple[str, ...]:
    """Return the items that a reply answers, shows the model and writes."""
    return (*log.response.input_item_ids, *shown_items(log.context or {}), log.response.output_item_id)

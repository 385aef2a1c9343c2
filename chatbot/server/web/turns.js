/**
 * Sends that never double, and replies that survive a lost socket.
 *
 * What is to be sent is kept, with its idempotency key, until the server has it, a reload in between included; one goes
 * out at a time, so that messages are stored in the order they were written.
 */

import { keep, kept } from "./kept.js";

export const ENDS = ["response.completed", "response.incomplete", "response.failed"];
const ACKNOWLEDGED_MS = 20000;

/** Return a name that nobody else has; `crypto.randomUUID` is there over HTTPS only. */
export function newId(kind) {
  const parts = crypto.getRandomValues(new Uint32Array(4));
  return `${kind}_${Array.from(parts, (part) => part.toString(16).padStart(8, "0")).join("")}`;
}

export class Turns {
  #connection;
  #outbox = JSON.parse(kept("outbox") ?? "[]");
  #replies = new Map();
  #timer = null;
  #onTaken;
  #onRefused;

  /**
   * `onTaken(frame, response)` is told what the server stored, and returns who wants the events of the reply, if
   * somebody does; `onRefused(frame, error)` is told what it did not store.
   */
  constructor(connection, { onTaken, onRefused }) {
    this.#connection = connection;
    this.#onTaken = onTaken;
    this.#onRefused = onRefused;
  }

  /** Send a turn as soon as the server is there; `key` names it for ever. */
  send(key, fields) {
    this.#outbox.push({ type: "response.create", ...fields, idempotency_key: key, event_id: key, stream_id: key });
    this.#keepOutbox();
    if (this.#outbox.length === 1) this.#sendFirst();
  }

  /** Follow a reply from its start: `onEvent` gets each of its events once, in order. */
  follow(responseId, onEvent) {
    const reply = { seen: -1, onEvent, streamId: newId("attach") };
    this.#replies.set(responseId, reply);
    this.#attach(responseId, reply);
  }

  /** Follow nothing any more; the replies go on at the server. */
  leave() {
    this.#replies.clear();
  }

  /** On a new socket: repeat what was not acknowledged, and take up every running reply where it was lost. */
  goOn() {
    for (const [id, reply] of this.#replies) this.#attach(id, reply);
    this.#sendFirst();
  }

  /** Take in what the socket brings of a turn. An error that concerns none is returned. */
  receive(event) {
    if (event.type === "error") return this.#refuse(event.event_id ?? event.stream_id ?? null, event.error);
    if (event.type === "response.created") this.#acknowledge(event);
    const reply = this.#replies.get(event.response_id);
    if (reply?.streamId === event.stream_id) this.#grow(reply, event);
    return null;
  }

  /** The server closed a socket for the size of a frame: to say it again would close the next one too. */
  refuseTooLarge() {
    const error = { code: "message_too_large", message: "the message is larger than the server takes; shorten it" };
    this.#refuse(null, error);
  }

  #attach(response_id, { seen, streamId }) {
    const frame = { type: "chatbot:response.attach", response_id, starting_after: seen };
    this.#connection.send({ ...frame, stream_id: streamId, event_id: streamId });
  }

  #sendFirst() {
    clearTimeout(this.#timer);
    if (this.#outbox.length && this.#connection.send(this.#outbox[0])) {
      this.#timer = setTimeout(() => this.#connection.drop(), ACKNOWLEDGED_MS);
    }
  }

  #acknowledge(event) {
    const frame = this.#outbox[0];
    if (!frame || event.stream_id !== frame.stream_id) return;
    this.#next();
    const onEvent = this.#onTaken(frame, event.response);
    if (onEvent) this.#replies.set(event.response_id, { seen: -1, onEvent, streamId: frame.stream_id });
  }

  /** Whoever has seen the end may get it again, and it counts whenever it comes. */
  #grow(reply, event) {
    const isEnd = ENDS.includes(event.type);
    if (event.sequence_number <= reply.seen && !isEnd) return;
    reply.seen = Math.max(reply.seen, event.sequence_number ?? -1);
    if (isEnd) this.#replies.delete(event.response_id);
    reply.onEvent(event);
  }

  /** An error names the frame that it answers, or none if that could not be read. */
  #refuse(name, error) {
    const frame = this.#outbox[0];
    if (frame && (name === null || name === frame.event_id)) {
      if (error.code === "server_draining") return null; // the next socket gets it again
      this.#next();
      this.#onRefused(frame, error);
      return null;
    }
    const lost = [...this.#replies].find(([, reply]) => reply.streamId === name);
    if (!lost) return error;
    this.#replies.delete(lost[0]);
    lost[1].onEvent({ type: "error", error });
    return null;
  }

  #next() {
    this.#outbox.shift();
    this.#keepOutbox();
    this.#sendFirst();
  }

  #keepOutbox() {
    keep("outbox", this.#outbox.length ? JSON.stringify(this.#outbox) : null);
  }
}

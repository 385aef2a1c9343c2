/** Replies as they come, which survive a lost socket: each is taken up where it was lost. */

import { newId } from "./new_id.js";

export const ENDS = ["response.completed", "response.incomplete", "response.failed"];

export class Replies {
  #connection;
  #replies = new Map();

  constructor(connection) {
    this.#connection = connection;
  }

  /** Follow a reply from its start: `onEvent` gets each of its events once, in order. */
  follow(responseId, onEvent) {
    const streamId = newId("attach");
    this.take(responseId, streamId, onEvent);
    this.#attach(responseId, this.#replies.get(responseId));
  }

  /** Take the events of a reply that come without being asked for, by the name of their stream. */
  take(responseId, streamId, onEvent) {
    this.#replies.set(responseId, { seen: -1, onEvent, streamId });
  }

  /** Follow nothing any more; the replies go on at the server. */
  leave() {
    this.#replies.clear();
  }

  /** On a new socket: take up every running reply. */
  goOn() {
    for (const [id, reply] of this.#replies) this.#attach(id, reply);
  }

  /** Take in an event. Whoever has seen the end may get it again, and it counts whenever it comes. */
  receive(event) {
    const reply = this.#replies.get(event.response_id);
    if (reply?.streamId !== event.stream_id) return;
    const isEnd = ENDS.includes(event.type);
    if (event.sequence_number <= reply.seen && !isEnd) return;
    reply.seen = Math.max(reply.seen, event.sequence_number ?? -1);
    if (isEnd) this.#replies.delete(event.response_id);
    reply.onEvent(event);
  }

  /** Take in an error by the name of the frame that it answers; false if it is none of these. */
  refuse(name, error) {
    const lost = [...this.#replies].find(([, reply]) => reply.streamId === name);
    if (!lost) return false;
    this.#replies.delete(lost[0]);
    lost[1].onEvent({ type: "error", error });
    return true;
  }

  #attach(response_id, { seen, streamId }) {
    const frame = { type: "chatbot:response.attach", response_id, starting_after: seen };
    this.#connection.send({ ...frame, stream_id: streamId, event_id: streamId });
  }
}

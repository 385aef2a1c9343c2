/**
 * What is to be sent: kept until the server has it, a reload in between included, so that nothing is lost and nothing
 * sent twice. One goes out at a time, so that messages are stored in the order they were written; a chat that is new is
 * made before the first of its messages.
 */

import { isForLater } from "./api.js";
import { keep, kept } from "./kept.js";

const ACKNOWLEDGED_MS = 20000;

export class Outbox {
  #api;
  #connection;
  #page;
  #frames = JSON.parse(kept("outbox") ?? "[]");
  #timer = null;

  /**
   * `page` has `onMade(making, body)` for a chat that was new, `onTaken(frame, response)` for what the server stored,
   * `onRefused(frame, error)` for what it did not, and `onFault`.
   */
  constructor({ api, connection, page }) {
    this.#api = api;
    this.#connection = connection;
    this.#page = page;
  }

  /**
   * Send a turn as soon as the server is there; `key` names it for ever. A chat without `id` is made first, under its
   * own `key` and with who answers there.
   */
  send(key, chat, fields) {
    const place = chat.id === null ? { making: { key: chat.key, model: chat.model } } : { conversation: chat.id };
    const names = { idempotency_key: key, event_id: key, stream_id: key };
    this.#frames.push({ type: "response.create", ...fields, ...place, ...names });
    this.#keep();
    if (this.#frames.length === 1) this.#sendFirst();
  }

  /** Return what waits to be sent in a chat. */
  waitingIn({ id, key }) {
    return this.#frames.filter(({ making, conversation }) => (making ? making.key === key : conversation === id));
  }

  /** The key of the chat that is still to be made for what was said last, undefined if there is none. */
  get unmade() {
    return this.#frames.findLast(({ making }) => making)?.making.key;
  }

  /** Say who answers in a chat that is still to be made. */
  choose(key, model) {
    for (const { making } of this.#frames) if (making?.key === key) making.model = model;
    this.#keep();
  }

  /** On a new socket: repeat what was not acknowledged. */
  goOn() {
    this.#sendFirst();
  }

  /** Take in that the server has stored what was sent. */
  acknowledge({ stream_id: streamId, response }) {
    const [frame] = this.#frames;
    if (frame?.stream_id !== streamId) return;
    this.#drop(frame);
    this.#page.onTaken(frame, response);
  }

  /** Take in an error by the name of the frame that it answers, null if that could not be read; false if it is none. */
  refuse(name, error) {
    const [frame] = this.#frames;
    if (!frame || frame.making || ![null, frame.event_id].includes(name)) return false;
    if (error.code !== "server_draining") this.#refused(frame, error); // else the next socket gets it again
    return true;
  }

  /** The server closed a socket for the size of a frame: to say it again would close the next one too. */
  refuseTooLarge() {
    const error = { code: "message_too_large", message: "the message is larger than the server takes; shorten it" };
    this.refuse(null, error);
  }

  #sendFirst() {
    clearTimeout(this.#timer);
    const [frame] = this.#frames;
    if (!frame || this.#connection.state !== "live") return;
    if (frame.making) return void this.#make(frame.making);
    this.#connection.send(frame);
    this.#timer = setTimeout(() => this.#connection.drop(), ACKNOWLEDGED_MS);
  }

  async #make(making) {
    const fields = making.model === null ? {} : { model: making.model };
    try {
      this.#made(making, await this.#api.createConversation(fields, making.key));
    } catch (error) {
      if (isForLater(error)) this.#page.onFault(error);
      else for (const frame of this.#waitingFor(making)) this.#refused(frame, error);
    }
  }

  /** It may have been asked for on two sockets, and is told once. */
  #made(making, body) {
    const frames = this.#waitingFor(making);
    if (!frames.length) return;
    for (const frame of frames) Object.assign(frame, { making: undefined, conversation: body.id });
    this.#keep();
    this.#page.onMade(making, body);
    this.#sendFirst();
  }

  #waitingFor({ key }) {
    return this.#frames.filter(({ making }) => making?.key === key);
  }

  #refused(frame, error) {
    this.#drop(frame);
    this.#page.onRefused(frame, error);
  }

  #drop(frame) {
    this.#frames = this.#frames.filter((other) => other !== frame);
    this.#keep();
    this.#sendFirst();
  }

  #keep() {
    keep("outbox", this.#frames.length ? JSON.stringify(this.#frames) : null);
  }
}

/** The open chat: what was said in it, what is said now, and its replies as they come. */

import { Message, ending, itemText } from "./message.js";
import { newId } from "./new_id.js";
import { Pages } from "./pages.js";
import { ENDS } from "./replies.js";
import { keepUnsent, unsentOf } from "./unsent.js";

const WAITS_FOR = {
  turns: "It waits for the reply before it to end.",
  model: "It waits for the model, which is being loaded.",
};
const AGAIN_TEMPERATURE = 0.8; // whoever asks the same again wants another answer

export class Chat {
  /**
   * The chat that is open: its id, null until it is made, and the key for that; who answers, null for the base model,
   * undefined before the server has told.
   */
  sheet = { id: null, key: null, model: null };
  #api;
  #outbox;
  #replies;
  #transcript;
  #page;
  #pages;
  #due = null; // what is to be asked anew once the server has named it

  /**
   * `page` has `onUnsent`, `onGone`, `onFault`, `onFailed`, `onStep`, `offer`, `announce`, `speakerOf` and `modelOf`.
   */
  constructor({ api, outbox, replies, transcript, page }) {
    this.#api = api;
    this.#outbox = outbox;
    this.#replies = replies;
    this.#transcript = transcript;
    this.#page = page;
    const make = (fields) => this.#made(fields);
    const onRead = (messages, came) => this.#read(messages, came);
    const chat = { make, onRead, onGone: page.onGone, onFault: page.onFault };
    this.#pages = new Pages({ api, transcript, chat });
  }

  /** Show a chat that `catchUp` then fills, or the blank page of one that is not made: what is not sent stands there. */
  open(sheet) {
    this.#replies.leave();
    this.#dropDue();
    this.sheet = sheet;
    this.#pages.open(sheet);
    const waiting = this.#outbox.waitingIn(sheet).flatMap((frame) => this.#asked(frame.idempotency_key, frame.input));
    this.#show([...unsentOf(sheet.id).map((fields) => this.#made(fields)), ...waiting]);
    this.#transcript.toEnd();
  }

  /** Show what was said meanwhile. */
  catchUp() {
    this.#pages.catchUp();
  }

  /** Lead to a message once it is loaded. */
  leadTo(id) {
    this.#pages.leadTo(id);
  }

  /** Fetch the page before what is shown. */
  loadOlder() {
    this.#pages.loadOlder();
  }

  say(text) {
    this.#ask(this.#transcript.messages, text, {});
  }

  /** Send a message that could not be sent, or `text` in its place. */
  sayAgain(unsent, text = unsent.text) {
    this.#ask(this.#transcript.without(unsent), text, {});
  }

  /** Forget a message that could not be sent. */
  discard(unsent) {
    this.#show(this.#transcript.without(unsent));
  }

  /** Have a message answered anew, or `text` in its place; a reply stands for what it answers. */
  async answerAnew(message, text) {
    const question = this.#transcript.questionOf(message);
    if (question?.status === "unsent") return this.sayAgain(question, text);
    const { sheet } = this;
    const giveBack = () => void (text && this.#page.onUnsent(sheet.id, text));
    if (!question || question.isAsked) return giveBack(); // a second click asks for nothing more
    if (!question.id) return this.#askLater(message, text);
    this.stop();
    const options = text === undefined ? { temperature: AGAIN_TEMPERATURE } : {};
    question.isAsked = true;
    const asked = await this.#api.item(sheet.id, question.id).catch(this.#page.onFailed);
    question.isAsked = false;
    if (!asked || sheet !== this.sheet) return giveBack();
    const again = { ...options, parent_item_id: asked.parent_id };
    this.#ask(this.#transcript.before(question), text ?? itemText(asked), again);
  }

  /** Go on from another version of a message, with what followed it. */
  async chooseVersion(id) {
    const { sheet } = this;
    await this.#api.changeConversation(sheet.id, { active_item_id: id }).catch(this.#page.onFailed);
    if (sheet === this.sheet) this.catchUp();
  }

  /** Stop the reply that is being written. */
  stop() {
    const reply = this.#transcript.openReply;
    if (reply?.responseId) this.#api.cancel(reply.responseId).catch(this.#page.onFailed);
  }

  /** The server has made the chat, which was a blank page. */
  made(id) {
    this.sheet.id = id;
    keepUnsent(null, []);
    keepUnsent(id, this.#transcript.messages);
  }

  /** The server has stored what was sent, and tells of its reply. */
  taken(frame, response) {
    const question = this.#sent(frame);
    if (question) this.#answered(question, frame.stream_id, response);
    if (frame.conversation === this.sheet.id) this.catchUp();
  }

  #answered(question, streamId, response) {
    const { reply } = question;
    question.settle("completed");
    reply.responseId = response.id;
    this.#replies.take(response.id, streamId, (event) => this.#receive(reply, event));
  }

  /** The server did not store what was sent; false if it is not shown here. */
  refused(frame, why) {
    const question = this.#sent(frame);
    if (question) this.#unsent(question, why);
    return Boolean(question);
  }

  #sent(frame) {
    return this.#transcript.messages.find((message) => message.key === frame.idempotency_key);
  }

  #ask(before, text, options) {
    this.#dropDue();
    this.#pages.outdate();
    const key = newId("key");
    this.#show([...before, ...this.#asked(key, text)]);
    this.#transcript.toEnd();
    this.#outbox.send(key, this.sheet, { input: text, model: this.#answering(), ...options });
  }

  /** Who answers is said with each message, for a choice may be on its way still. */
  #answering() {
    const { model } = this.sheet;
    return model === undefined ? undefined : this.#page.modelOf(model) || undefined;
  }

  /** Return a message that is being sent, and its reply. */
  #asked(key, text) {
    const question = this.#made({ role: "user", key, text, status: "sending" });
    question.reply = this.#made({ role: "assistant", status: "sending" });
    return [question, question.reply];
  }

  /** Ask anew once the server has named what was sent just now. */
  #askLater(message, text) {
    this.#due = { message, text };
    this.catchUp();
  }

  #askDue() {
    const due = this.#due;
    this.#due = null;
    if (due) this.answerAnew(due.message, due.text);
  }

  /** Something else is wanted first: what was written goes back to where it was. */
  #dropDue() {
    if (this.#due?.text) this.#page.onUnsent(this.sheet.id, this.#due.text);
    this.#due = null;
  }

  #unsent(question, why) {
    question.settle("unsent", why);
    this.#show(this.#transcript.without(question.reply));
    this.catchUp();
  }

  #read(messages, came) {
    this.#show(messages);
    this.#takeUp(came);
    this.#askDue();
  }

  /** Follow the replies that still run, and learn why others are incomplete. */
  #takeUp(came) {
    for (const message of came) {
      if (!message.responseId || message.role !== "assistant") continue;
      if (message.isOpen) this.#replies.follow(message.responseId, (event) => this.#receive(message, event));
      else if (message.status === "incomplete") this.#explain(message);
    }
  }

  async #explain(message) {
    const response = await this.#api.response(message.responseId).catch(() => null);
    if (response) message.settle(...ending(response));
  }

  #receive(reply, event) {
    if (event.type === "response.created") this.#begin(reply, event.response);
    else if (event.type === "chatbot:queued") reply.settle("waiting", WAITS_FOR[event.waits_for]);
    else if (event.type === "response.in_progress") reply.settle("streaming");
    else if (event.type === "response.output_text.delta") reply.write(reply.text + event.delta);
    else if (event.type === "error") reply.settle("failed", event.error.message);
    else if (ENDS.includes(event.type)) this.#end(reply, event.response);
    this.#page.onStep();
  }

  /** A log is read from its start: what was known of the text comes again. */
  #begin(reply, response) {
    reply.nameSpeaker(this.#page.speakerOf(response.model));
    reply.settle("waiting");
    reply.write("");
  }

  /** The stored text decides: after a crash it may be shorter than what was streamed. */
  #end(reply, response) {
    if (response.output.length) reply.write(response.output.map(itemText).join(""));
    reply.settle(...ending(response));
    this.#page.announce(reply.text || reply.remark.textContent);
  }

  /** Make a message; a reply of which nobody knows who wrote it goes by who answers now. */
  #made({ model, ...fields }) {
    const message = new Message({ ...fields, speaker: this.#page.speakerOf(model ?? this.sheet.model) });
    this.#page.offer(message);
    return message;
  }

  #show(messages) {
    this.#transcript.show(messages);
    keepUnsent(this.sheet.id, messages);
    this.#page.onStep();
  }
}

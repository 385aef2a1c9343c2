/** The open chat: what was said in it, what is said now, and its replies as they come. */

import { described, merged } from "./history.js";
import { Message, ending, itemText } from "./message.js";
import { newConversation } from "./new_conversation.js";
import { ENDS, newId } from "./turns.js";
import { keepUnsent, keptUntil, unsentOf } from "./unsent.js";

const PAGE = 40;
const FARTHEST_PAGES = 10;
const AGAIN_TEMPERATURE = 0.8; // whoever asks the same again wants another answer

export class Chat {
  /** The chat that is open: its id, null until the server has made it, and who answers, null for the base model. */
  sheet = { id: null, model: null };
  #api;
  #turns;
  #transcript;
  #page;
  #oldest = null;
  #isBehind = false;
  #isLoading = false;
  #asked = 0;
  #due = null; // what is to be asked anew once the server has named it
  #wanted = null; // the id of a message that is looked for, and how many more pages are read for it

  /**
   * `page` has `onMade`, `onUnsent`, `onGone`, `onFault`, `onFailed`, `onStep`, `offer`, `announce`, `speakerOf`, `modelOf`
   * and `renewed`, which waits for a new socket.
   */
  constructor({ api, turns, transcript, page }) {
    this.#api = api;
    this.#turns = turns;
    this.#transcript = transcript;
    this.#page = page;
  }

  /** Show a chat that `catchUp` then fills, or with null the blank page of a new one. */
  open(id, model) {
    this.#turns.leave();
    this.#dropDue();
    this.#wanted = null;
    this.sheet = { id, model };
    this.#oldest = null;
    this.#show(unsentOf(id).map((fields) => this.#made(fields)));
    this.#transcript.toEnd();
  }

  /** Show what was said meanwhile. What is being sent cannot be told from it; then it is done once that is stored. */
  async catchUp() {
    this.#isBehind = true;
    if (this.#isLoading) return;
    this.#isLoading = true;
    while (this.#isBehind && this.sheet.id !== null && !this.#transcript.isSending) {
      this.#isBehind = false;
      const asked = this.#asked; // a page that was read before a message was stored lacks it
      const use = (page) => asked === this.#asked && this.#merge(page);
      await this.#load(this.sheet, { order: "desc", limit: PAGE }, use);
    }
    this.#isLoading = false;
    this.#lead();
  }

  /** Lead to a message once it is loaded, as far back as a reader would go. */
  leadTo(id) {
    this.#wanted = { id, pages: FARTHEST_PAGES };
  }

  #lead() {
    const message = this.#wanted && this.#transcript.messages.find(({ id }) => id === this.#wanted.id);
    const isSought = this.#wanted && !message && this.#oldest !== null && this.#wanted.pages-- > 0;
    if (message) this.#transcript.goTo(message);
    if (isSought) this.loadOlder();
    else this.#wanted = null;
  }

  /** Fetch the page before what is shown, unless something is being fetched. */
  async loadOlder() {
    if (this.#oldest === null || this.#isLoading) return;
    this.#isLoading = true;
    const query = { order: "desc", limit: PAGE, after: this.#oldest };
    await this.#load(this.sheet, query, (page) => this.#prepend(page));
    this.#isLoading = false;
    if (this.#isBehind) this.catchUp();
    else this.#lead();
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

  /** The server has stored what was sent: return who takes the events of its reply. */
  taken(frame, response) {
    const question = this.#sent(frame);
    if (!question) return void (frame.conversation === this.sheet.id && this.catchUp());
    question.settle("completed");
    const { reply } = question;
    reply.responseId = response.id;
    this.catchUp();
    return (event) => this.#receive(reply, event);
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

  async #ask(before, text, options) {
    const { sheet } = this;
    this.#dropDue();
    this.#asked += 1;
    const question = this.#made({ role: "user", key: newId("key"), text, status: "sending" });
    question.reply = this.#made({ role: "assistant", status: "sending" });
    this.#show([...before, question, question.reply]);
    this.#transcript.toEnd();
    try {
      const conversation = sheet.id ?? (await keptUntil(text, this.#place(sheet)));
      const model = this.#page.modelOf(sheet.model) || undefined; // said, for a choice may be on its way still
      this.#turns.send(question.key, { input: text, conversation, model, ...options });
    } catch (error) {
      if (sheet === this.sheet) this.#unsent(question, error.message);
      else this.#page.onUnsent(sheet.id, text, error.message);
    }
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

  /** Return the id of a chat that was only a blank page, once the server has made it. */
  async #place(sheet) {
    const fields = sheet.model === null ? {} : { model: sheet.model };
    sheet.making ??= newConversation(this.#api, fields, () => this.#page.renewed());
    const body = await sheet.making.finally(() => (sheet.making = null));
    if (sheet.id === null) {
      sheet.id = body.id;
      this.#page.onMade(sheet, body);
    }
    return sheet.id;
  }

  #unsent(question, why) {
    question.settle("unsent", why);
    this.#show(this.#transcript.without(question.reply));
    this.catchUp();
  }

  /** Use a page of items, unless another chat is open by then. */
  async #load(sheet, query, use) {
    try {
      const page = await this.#api.items(sheet.id, query);
      if (sheet === this.sheet) use(page);
    } catch (error) {
      if (sheet !== this.sheet) return;
      if (error.code === "conversation_not_found") this.#page.onGone(sheet.id);
      else if (error.code === "item_not_found") this.#oldest = null;
      else this.#page.onFault(error);
    }
  }

  #merge(page) {
    const shown = this.#transcript.messages;
    const messages = merged(shown, page, (fields) => this.#made(fields));
    if (!messages.length || messages[0] !== shown[0]) this.#oldest = page.has_more ? page.last_id : null;
    this.#show(messages);
    this.#takeUp(messages.filter((message) => !shown.includes(message)));
    this.#askDue();
  }

  #prepend(page) {
    const shown = new Set(this.#transcript.messages.map((message) => message.id));
    const items = page.data.filter((item) => item.role !== "system" && !shown.has(item.id)).reverse();
    const came = items.map((item) => this.#made(described(item)));
    this.#oldest = page.has_more ? page.last_id : null;
    this.#show([...came, ...this.#transcript.messages]);
    this.#takeUp(came);
  }

  /** Follow the replies that still run, and learn why others are incomplete. */
  #takeUp(came) {
    for (const message of came) {
      if (!message.responseId || message.role !== "assistant") continue;
      if (message.isOpen) this.#turns.follow(message.responseId, (event) => this.#receive(message, event));
      else if (message.status === "incomplete") this.#explain(message);
    }
  }

  async #explain(message) {
    const response = await this.#api.response(message.responseId).catch(() => null);
    if (response) message.settle(...ending(response));
  }

  #receive(reply, event) {
    if (event.type === "response.created") this.#begin(reply, event.response);
    else if (event.type === "chatbot:queued") reply.settle("waiting", "It waits for the reply before it to end.");
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

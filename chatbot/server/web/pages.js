/** What is stored of the open chat, read page by page, the newest first. */

import { described, merged } from "./history.js";

const PAGE = 40;
const FARTHEST_PAGES = 10;

export class Pages {
  #api;
  #transcript;
  #chat;
  #sheet = null;
  #oldest = null;
  #isBehind = false;
  #isLoading = false;
  #said = 0;
  #wanted = null; // the id of a message that is looked for, and how many more pages are read for it

  /**
   * `chat` has `make` for a message, `onRead(messages, came)` for what is to be shown now and what of it is new,
   * `onGone` and `onFault`.
   */
  constructor({ api, transcript, chat }) {
    this.#api = api;
    this.#transcript = transcript;
    this.#chat = chat;
  }

  /** Go to a chat, of which nothing is read before `catchUp`. */
  open(sheet) {
    this.#sheet = sheet;
    this.#oldest = null;
    this.#wanted = null;
  }

  /** Something is said: a page that is being read lacks it, and does not count. */
  outdate() {
    this.#said += 1;
  }

  /** Show what was said meanwhile. What is being sent cannot be told from it; then it is done once that is stored. */
  async catchUp() {
    this.#isBehind = true;
    if (this.#isLoading) return;
    this.#isLoading = this.#transcript.isReading = true;
    while (this.#isBehind && this.#sheet.id !== null && !this.#transcript.isSending) {
      this.#isBehind = false;
      const said = this.#said;
      await this.#load({}, (page) => said === this.#said && this.#merge(page));
    }
    this.#isLoading = this.#transcript.isReading = false;
    this.#lead();
  }

  /** Lead to a message once it is loaded, as far back as a reader would go. */
  leadTo(id) {
    this.#wanted = { id, pages: FARTHEST_PAGES };
  }

  /** Fetch the page before what is shown, unless something is being fetched. */
  async loadOlder() {
    if (this.#oldest === null || this.#isLoading) return;
    this.#isLoading = true;
    await this.#load({ after: this.#oldest }, (page) => this.#prepend(page));
    this.#isLoading = false;
    if (this.#isBehind) this.catchUp();
    else this.#lead();
  }

  #lead() {
    const message = this.#wanted && this.#transcript.messages.find(({ id }) => id === this.#wanted.id);
    const isSought = this.#wanted && !message && this.#oldest !== null && this.#wanted.pages-- > 0;
    if (message) this.#transcript.goTo(message);
    if (isSought) this.loadOlder();
    else this.#wanted = null;
  }

  /** Use a page of items, unless another chat is open by then. */
  async #load(query, use) {
    const sheet = this.#sheet;
    try {
      const page = await this.#api.items(sheet.id, { order: "desc", limit: PAGE, ...query });
      if (sheet === this.#sheet) use(page);
    } catch (error) {
      if (sheet !== this.#sheet) return;
      if (error.code === "conversation_not_found") this.#chat.onGone(sheet.id);
      else if (error.code === "item_not_found") this.#oldest = null;
      else this.#chat.onFault(error);
    }
  }

  #merge(page) {
    const shown = this.#transcript.messages;
    const messages = merged(shown, page, this.#chat.make);
    if (!messages.length || messages[0] !== shown[0]) this.#oldest = page.has_more ? page.last_id : null;
    this.#chat.onRead(messages, messages.filter((message) => !shown.includes(message)));
  }

  #prepend(page) {
    const shown = new Set(this.#transcript.messages.map((message) => message.id));
    const items = page.data.filter((item) => item.role !== "system" && !shown.has(item.id)).reverse();
    const came = items.map((item) => this.#chat.make(described(item)));
    this.#oldest = page.has_more ? page.last_id : null;
    this.#chat.onRead([...came, ...this.#transcript.messages], came);
  }
}

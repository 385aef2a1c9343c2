/** The conversations at the left: last changed first, more on scrolling, or those in which words were said. */

import { arrange, button, element } from "./element.js";
import { setTabStops, watchKeys } from "./row_keys.js";

const PAGE = 50;
const MAX_PAGE = 1000;
export const UNTITLED = "New conversation";

export class ConversationList {
  #api;
  #page;
  #list;
  #end;
  #entries = new Map();
  #gone = new Set();
  #words = "";
  #last = null;
  #reading = 0;
  #current = null;
  #watchEnd;

  /** `page` has `rename`, `remove`, `onAgain` for the one that is open, and `onFault`; `end` stands below the list, and when it is seen more is read. */
  constructor({ api, list, end, page }) {
    this.#api = api;
    this.#page = page;
    this.#list = list;
    this.#end = end;
    this.#watchEnd = new IntersectionObserver(([seen]) => seen.isIntersecting && this.#readMore());
    watchKeys(list);
  }

  /** Return a conversation that is in the list. */
  find(id) {
    return this.#entries.get(id)?.body;
  }

  /** Read the list anew, as much of it as is shown. */
  async refresh() {
    const limit = Math.min(Math.max(PAGE, this.#entries.size), MAX_PAGE);
    const page = await this.#read({ limit });
    if (!page) return;
    const newest = page.data[0]?.change ?? 0;
    const listed = new Set(page.data.map((body) => body.id));
    for (const [id, { body }] of this.#entries) {
      if (!listed.has(id) && (body.change <= newest || this.#words)) this.#entries.delete(id);
    }
    this.#take(page);
  }

  /** List only the conversations with all of some words in their title or one message; all of them for none. */
  search(words) {
    if (words === this.#words) return undefined;
    this.#words = words;
    this.#entries.clear();
    this.#last = null;
    return this.refresh();
  }

  /** Return the message for which a conversation was found, if it was by what was said. */
  found(id) {
    return this.#words ? this.find(id)?.found?.item_id : undefined;
  }

  /** Take in a conversation as the server tells it, new or not. */
  put(body, running) {
    const known = this.#entries.get(body.id);
    if (this.#gone.has(body.id) || (known ? body.change < known.body.change : this.#words)) return;
    this.#set(body, running);
    this.#draw();
  }

  /** Forget a conversation that was deleted. */
  drop(id) {
    this.#gone.add(id);
    this.#entries.delete(id);
    this.#draw();
  }

  /** Mark the conversation that is open. */
  mark(id) {
    this.#current = id;
    for (const [known, { link }] of this.#entries) markCurrent(link, known === id);
    setTabStops(this.#list);
  }

  async #readMore() {
    if (this.#last === null) return;
    const page = await this.#read({ limit: PAGE, before: this.#last });
    if (page) this.#take(page);
  }

  /** Return a page, or nothing if another one was asked for meanwhile. */
  async #read(query) {
    const reading = ++this.#reading;
    this.#watchEnd.disconnect();
    try {
      const page = await this.#api.conversations(this.#words ? { ...query, search: this.#words } : query);
      return reading === this.#reading ? page : null;
    } catch (error) {
      this.#page.onFault(error);
      if (reading === this.#reading) this.#draw("The list could not be read.");
      return null;
    }
  }

  #take({ data, has_more: hasMore }) {
    for (const body of data) if (!this.#gone.has(body.id)) this.#set(body, null);
    this.#last = hasMore ? data.at(-1).change : null;
    this.#draw();
    if (hasMore) this.#watchEnd.observe(this.#end);
  }

  #set(body, running) {
    const entry = this.#entries.get(body.id) ?? this.#made(body.id);
    if (entry.body && body.change < entry.body.change) return;
    entry.body = { ...body, found: body.found ?? entry.body?.found };
    entry.link.replaceChildren(body.title ?? UNTITLED);
    entry.link.title = body.title ?? UNTITLED;
    if (entry.body.found) entry.link.append(element("small", { textContent: entry.body.found.passage }));
    entry.element.classList.toggle("running", Boolean(running));
    this.#entries.set(body.id, entry);
  }

  #made(id) {
    const link = element("a", { href: `#${id}`, dir: "auto" });
    link.onclick = () => void (id === this.#current && this.#page.onAgain(id)); // the address does not change then
    const rename = button("Rename", "rename", () => this.#page.rename(entry.body));
    const remove = button("Delete", "delete", () => this.#page.remove(entry.body));
    const entry = { link, element: element("li", {}, link, rename, remove), body: null };
    markCurrent(link, id === this.#current);
    return entry;
  }

  /** Draw the list, or say why there is none. */
  #draw(none = this.#words ? "Nothing found." : "No conversations yet.") {
    const entries = [...this.#entries.values()].sort((one, other) => other.body.change - one.body.change);
    arrange(this.#list, entries.map((entry) => entry.element));
    setTabStops(this.#list);
    this.#end.textContent = entries.length || this.#last !== null ? "" : none;
  }
}

function markCurrent(link, isCurrent) {
  if (isCurrent) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}

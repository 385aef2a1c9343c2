/** One message on the screen: what was said, by whom, how it stands, and what can be done with it. */

import { arrange, button, element } from "./element.js";
import { renderedOn } from "./markdown.js";

const REMARKS = {
  sending: "Sending…",
  unsent: "Not sent.",
  stopped: "Stopped.",
  cut: "Cut off: it reached the greatest length of a reply.",
  interrupted: "Interrupted: the server was stopped.",
  failed: "Failed.",
};

export class Message {
  #dueDraw = null;

  /** `id` is the item at the server, once it is known; `key` names a message that was sent from here. */
  constructor({ role, id = null, key = null, responseId = null, text = "", status = "completed", why, speaker = "", versions }) {
    Object.assign(this, { role, id, key, responseId, text });
    this.#build(speaker);
    this.settle(status, why);
    this.tellVersions(versions);
    this.#draw();
  }

  get isOpen() {
    return this.role === "assistant" && ["sending", "waiting", "streaming"].includes(this.status);
  }

  #build(speaker) {
    this.speakerName = element("h3", { className: "speaker", textContent: this.role === "user" ? "You" : speaker });
    this.body = element("div", { className: "text", dir: "auto" });
    this.remark = element("p", { className: "remark" });
    this.versions = element("span", { className: "versions" });
    this.actions = element("div", { className: "actions" }, this.versions);
    this.element = element("article", { tabIndex: -1 }, this.speakerName, this.body, this.remark, this.actions);
  }

  /** Offer something to be done with the message; `name` is the class of its button. */
  offer(name, text, action) {
    this.actions.append(button(text, name, () => action(this)));
  }

  /** Say which of its versions it is, by their ids; `onVersion` is told the id of the one that is wanted. */
  tellVersions(ids = []) {
    const place = ids.indexOf(this.id);
    const arrow = (sign, ariaLabel, id) =>
      Object.assign(button(sign, "version", () => this.onVersion(id)), { ariaLabel, disabled: id === undefined });
    const shown = [arrow("‹", "Earlier version", ids[place - 1]), `${place + 1}/${ids.length}`];
    this.versions.replaceChildren(...(ids.length > 1 ? [...shown, arrow("›", "Later version", ids[place + 1])] : []));
  }

  /** Say who writes. */
  nameSpeaker(name) {
    this.speakerName.textContent = name;
  }

  /** Put a text in the place of what is shown. Drawn once for each frame, however many words come. */
  write(text) {
    this.text = text;
    this.#dueDraw ??= requestAnimationFrame(() => this.#draw());
  }

  /** Say how the message stands now, and why. */
  settle(status, why = "") {
    Object.assign(this, { status, why });
    this.element.className = `message ${this.role} ${status}`;
    this.element.setAttribute("aria-busy", String(this.isOpen));
    const told = this.role === "assistant" && status === "sending" ? "" : REMARKS[status] ?? "";
    this.remark.textContent = told && why ? sentence(told, why) : told || why;
  }

  #draw() {
    this.#dueDraw = null;
    if (this.role === "user") this.body.textContent = this.text;
    else this.#drawBlocks();
    this.onDrawn?.();
  }

  /** What is there already stays: somebody may have selected it, or stand on a button in it. */
  #drawBlocks() {
    const there = [...this.body.children];
    const blocks = renderedOn(there, this.text);
    arrange(this.body, blocks.map((block, place) => (there[place]?.source === block.source ? there[place] : block)));
  }
}

/** Return one sentence of what is so and of the server's words for why. */
function sentence(told, why) {
  return `${told.replace(/\.$/, "")}: ${why.replace(/\.$/, "")}.`;
}

/** Return how a response ended, and the server's words for it. */
export function ending(response) {
  if (response.status === "completed") return ["completed", ""];
  if (response.status === "cancelled") return ["stopped", ""];
  if (response.status === "failed") return ["failed", response.error?.message ?? ""];
  return [response.incomplete_details?.reason === "max_output_tokens" ? "cut" : "interrupted", ""];
}

/** Return the text in an item. */
export function itemText(item) {
  return (item.content ?? []).map((part) => part.text ?? "").join("");
}

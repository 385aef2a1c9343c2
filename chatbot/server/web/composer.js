/** Where the user writes. What is written is kept for each chat until it is said. */

import { keep, kept } from "./kept.js";

/** A keyboard on the screen covers half of it, so it comes only when asked for, and its Enter makes a line. */
const isTouched = matchMedia("(pointer: coarse)").matches;

const IN_METHOD = 229; // the key as Safari tells it, which has ended composing by then

export class Composer {
  #form;
  #field;
  #notice;
  #stop;
  #draft = draftOf(null);
  #changing = null; // the message that is being said otherwise

  /** `page` has `say`, `change` and `stop`. */
  constructor(form, page) {
    this.#form = form;
    this.#field = form.querySelector("textarea");
    this.#notice = form.querySelector("#changing");
    this.#stop = form.querySelector("#stop");
    this.#stop.onclick = () => page.stop();
    form.addEventListener("submit", (event) => this.#submitted(event, page));
    this.#field.addEventListener("keydown", (event) => this.#pressed(event, page));
    this.#field.addEventListener("input", () => this.#written());
    this.#notice.querySelector("button").onclick = () => this.#leaveChange();
  }

  /** Go to a chat: what was being written there is there again. */
  open(id) {
    this.#draft = draftOf(id);
    this.#endChange();
    this.#put(kept(this.#draft) ?? "");
    if (!isTouched) this.#field.focus();
  }

  /** The blank page that is open has become a chat: what is being written there goes along. */
  made(id) {
    const written = kept(this.#draft);
    keep(this.#draft, null);
    this.#draft = draftOf(id);
    keep(this.#draft, written);
  }

  /** Offer a message to be said otherwise, and tell what that does; what was being written comes back afterwards. */
  change(message, told) {
    this.#changing = message;
    this.#notice.querySelector("span").textContent = told;
    this.#notice.hidden = false;
    this.#put(message.text);
    this.#field.focus();
  }

  /** Offer to stop a reply, or no longer; whoever stood on that button writes then. */
  offerStop(isOffered) {
    if (!isOffered && !isTouched && document.activeElement === this.#stop) this.#field.focus();
    this.#stop.hidden = !isOffered;
  }

  get text() {
    return this.#field.value;
  }

  /** Keep nothing any more that was written for a chat that is gone. */
  forget(id) {
    keep(draftOf(id), null);
  }

  /** Give a text that could not be sent back, below what is being written. */
  giveBack(id, text) {
    const isHere = this.#draft === draftOf(id) && !this.#changing;
    const written = isHere ? this.#field.value : kept(draftOf(id));
    const whole = [written, text].filter(Boolean).join("\n\n");
    keep(draftOf(id), whole);
    if (isHere) this.#put(whole);
  }

  #submitted(event, page) {
    event.preventDefault();
    const text = this.#field.value;
    if (!text.trim()) return;
    const changed = this.#changing;
    this.#endChange();
    if (!changed) keep(this.#draft, null);
    this.#put(changed ? kept(this.#draft) ?? "" : "");
    this.#field.focus();
    if (changed) page.change(changed, text);
    else page.say(text);
  }

  #pressed(event, page) {
    if (event.isComposing || event.keyCode === IN_METHOD) return; // Enter ends a word of an input method
    if (event.key === "Enter" && !event.shiftKey && !isTouched) {
      event.preventDefault();
      this.#form.requestSubmit();
    } else if (event.key === "Escape") {
      if (this.#changing) this.#leaveChange();
      else page.stop();
    }
  }

  #written() {
    this.#grow();
    if (!this.#changing) keep(this.#draft, this.#field.value);
  }

  #leaveChange() {
    this.#endChange();
    this.#put(kept(this.#draft) ?? "");
    this.#field.focus();
  }

  #endChange() {
    this.#changing = null;
    this.#notice.hidden = true;
  }

  #put(text) {
    this.#field.value = text;
    this.#grow();
  }

  /** As high as what is written, up to the limit of the style sheet. */
  #grow() {
    const { style } = this.#field;
    style.height = "auto";
    style.height = `${this.#field.scrollHeight + this.#field.offsetHeight - this.#field.clientHeight}px`;
  }
}

function draftOf(id) {
  return `draft:${id ?? "new"}`;
}

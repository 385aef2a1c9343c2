/** The messages of the open chat on the screen. It follows the newest line until the user scrolls away from it. */

import { arrange } from "./element.js";

const NEAR_PX = 80;

export class Transcript {
  messages = [];
  #scroller;
  #list;
  #newest;
  #onTop;
  #isAtEnd = true;
  #followedTo = 0;

  /** `newest` is the button that leads to the newest line; `onTop` is told when the user comes near the oldest message. */
  constructor({ scroller, list, newest, onTop }) {
    this.#scroller = scroller;
    this.#list = list;
    this.#newest = newest;
    this.#onTop = onTop;
    newest.onclick = () => this.#comeBack();
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(scroller);
  }

  /** Return the message of the user that a message is or answers. */
  questionOf(message) {
    const upToIt = this.messages.slice(0, this.messages.indexOf(message) + 1);
    return upToIt.findLast((other) => other.role === "user");
  }

  /** Whether a message of the user is on its way to the server. */
  get isSending() {
    return this.messages.some((message) => message.role === "user" && message.status === "sending");
  }

  /** Return the messages before one, all of them if it is not shown. */
  before(message) {
    const place = this.messages.indexOf(message);
    return place < 0 ? this.messages : this.messages.slice(0, place);
  }

  /** Return all messages but one. */
  without(message) {
    return this.messages.filter((other) => other !== message);
  }

  /** The reply that is being written, or else the first that waits. */
  get openReply() {
    const replies = this.messages.filter((message) => message.isOpen);
    return replies.find((reply) => reply.status === "streaming") ?? replies[0];
  }

  /** Show messages, the place of reading kept; those that are shown already stay as they are. */
  show(messages) {
    const fromEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    const isLonger = messages.length > this.messages.length && messages.at(-1) === this.messages.at(-1);
    this.messages = messages;
    for (const message of messages) message.onDrawn = () => this.follow();
    arrange(this.#list, messages.map((message) => message.element));
    if (isLonger && !this.#isAtEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight - fromEnd;
    this.follow();
    requestAnimationFrame(() => this.#fill());
  }

  /** Say whether something is being read, which is shown where nothing else is. */
  set isReading(isReading) {
    this.#scroller.classList.toggle("reading", isReading);
  }

  /** Go to a message that was looked for, and show which it is. */
  goTo({ element }) {
    this.#isAtEnd = false;
    this.#list.querySelector(".found")?.classList.remove("found");
    element.scrollIntoView({ block: "center" });
    element.classList.add("found");
  }

  /** Go to the newest line and stay there. */
  toEnd() {
    this.#isAtEnd = true;
    this.#followedTo = 0;
    this.follow();
  }

  follow() {
    if (this.#scroller.scrollTop < this.#followedTo) this.#look(); // the reader went up, which is told only later
    if (this.#isAtEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#followedTo = this.#isAtEnd ? this.#scroller.scrollTop : 0;
    this.#newest.hidden = this.#isAtEnd;
  }

  /** The button goes once it is pressed, so the keyboard is given to what it led to. */
  #comeBack() {
    this.#scroller.focus({ preventScroll: true });
    this.toEnd();
  }

  #scrolled() {
    this.#look();
    if (this.#scroller.scrollTop < NEAR_PX) this.#onTop();
  }

  /** In a window that holds them all nobody can scroll to the oldest message. */
  #fill() {
    if (this.#scroller.scrollHeight <= this.#scroller.clientHeight) this.#onTop();
  }

  #resized() {
    if (!this.#isAtEnd) this.#look();
    this.follow();
    this.#fill();
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.#newest.hidden = this.#isAtEnd;
  }
}

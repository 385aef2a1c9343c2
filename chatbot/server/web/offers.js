/** What can be done with a message; the style sheet shows what fits how it stands. */

import { copyButton } from "./copying.js";

export class Offers {
  #chat;
  #composer;
  #transcript;

  constructor({ chat, composer, transcript }) {
    this.#chat = chat;
    this.#composer = composer;
    this.#transcript = transcript;
  }

  offer(message) {
    message.onVersion = (id) => this.#chat.chooseVersion(id);
    message.actions.append(copyButton("copy", "Copy this message", () => message.text));
    if (message.role === "user") this.#offerOfUser(message);
    else this.#offerOfReply(message);
  }

  #offerOfUser(message) {
    message.offer("again", "Send again", () => this.#chat.sayAgain(message));
    message.offer("discard", "Discard", () => this.#chat.discard(message));
    message.offer("edit", "Edit", () => this.#composer.change(message, this.#changing(message)));
  }

  #offerOfReply(message) {
    message.offer("retry", "Try again", () => this.#chat.answerAnew(message));
  }

  /** Return what it means to change a message. */
  #changing(message) {
    if (message.status === "unsent") return "You are changing a message that was not sent.";
    const { messages } = this.#transcript;
    const isLast = this.#transcript.questionOf(messages.at(-1)) === message;
    if (isLast) return "You are changing your last message; it and its reply stay as another version.";
    return "You are changing an earlier message; it and what followed stay as another version.";
  }
}

/** What can be done with a message; the style sheet shows what fits how it stands. */

export class Offers {
  #chat;
  #composer;
  #transcript;
  #page;

  /** `page` has `announce` and `note`. */
  constructor({ chat, composer, transcript, page }) {
    this.#chat = chat;
    this.#composer = composer;
    this.#transcript = transcript;
    this.#page = page;
  }

  offer(message) {
    message.onVersion = (id) => this.#chat.chooseVersion(id);
    if (message.role === "user") this.#offerOfUser(message);
    else this.#offerOfReply(message);
  }

  #offerOfUser(message) {
    message.offer("again", "Send again", () => this.#chat.sayAgain(message));
    message.offer("discard", "Discard", () => this.#chat.discard(message));
    message.offer("edit", "Edit", () => this.#composer.change(message, this.#changing(message)));
  }

  #offerOfReply(message) {
    if (navigator.clipboard) message.offer("copy", "Copy", () => this.#copy(message.text));
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

  async #copy(text) {
    await navigator.clipboard.writeText(text).then(
      () => this.#page.announce("Copied."),
      () => this.#page.note("The browser did not let this page copy."),
    );
  }
}

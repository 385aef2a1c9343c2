/** The API key, where the server has one: in this tab, or in this browser if the user wants it remembered. */

import { askedKey } from "./dialogs.js";
import { keep, keepForLong, kept } from "./kept.js";

export class Access {
  #key = kept("key");

  get key() {
    return this.#key;
  }

  /** What a handshake offers: browsers cannot set its headers. */
  get protocols() {
    return this.#key ? ["responses", `openai-insecure-api-key.${this.#key}`] : ["responses"];
  }

  /** Ask for the key, and say so if the one that was sent is wrong. */
  async ask() {
    const why = this.#key ? "The server does not take this key." : "This server asks for its API key.";
    const { key, isRemembered } = await askedKey(why);
    this.#key = key;
    keep("key", key);
    keepForLong("key", isRemembered ? key : null);
  }
}

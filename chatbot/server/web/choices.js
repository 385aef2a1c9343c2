/** Who the user chose to answer in each chat. It counts at once, and is told to the server until that has heard it. */

import { isForLater } from "./api.js";
import { keep, kept } from "./kept.js";

export class Choices {
  #api;
  #onFault;
  #untold = JSON.parse(kept("choices") ?? "{}");

  constructor(api, onFault) {
    this.#api = api;
    this.#onFault = onFault;
  }

  /** Return who answers in a chat, null for the base model; `model` is what the server knows. */
  in(id, model) {
    return id in this.#untold ? this.#untold[id] : model;
  }

  choose(id, model) {
    this.#untold[id] = model;
    this.#keep();
    return this.#tell(id, model);
  }

  /** Tell the server all that it has not heard. */
  async tellAll() {
    await Promise.all(Object.entries(this.#untold).map(([id, model]) => this.#tell(id, model)));
  }

  forget(id) {
    delete this.#untold[id];
    this.#keep();
  }

  /** Nobody may be there, and then it stays to be told. */
  async #tell(id, model) {
    try {
      await this.#api.changeConversation(id, { model });
    } catch (error) {
      this.#onFault(error);
      if (isForLater(error)) return;
    }
    if (this.#untold[id] === model) this.forget(id);
  }

  #keep() {
    keep("choices", Object.keys(this.#untold).length ? JSON.stringify(this.#untold) : null);
  }
}

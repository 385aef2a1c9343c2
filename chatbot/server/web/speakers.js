/** Who can answer, and who answers in the open chat. */

import { arrange, element } from "./element.js";

export class Speakers {
  #select;
  #models = [];
  #offered = [];

  /** `onChoice` is told the name that the user chose, null for the base model: another one may be served tomorrow. */
  constructor(select, onChoice) {
    this.#select = select;
    select.addEventListener("change", () => onChoice(select.value === this.#base ? null : select.value));
  }

  /** Offer all that the server has; the one who answers now stays, even if it is no longer there. */
  offer(models) {
    const chosen = this.#select.value;
    this.#models = models;
    this.#offered = models.map(({ id, chatbot }) => option(id, chatbot.description));
    this.show(chosen);
  }

  /** Show who answers; null is the base model. */
  show(model) {
    const value = this.idOf(model);
    const known = this.#models.some(({ id }) => id === value) ? [] : [option(value, "")];
    arrange(this.#select, [...this.#offered, ...known]);
    this.#select.value = value;
  }

  /** Return the name by which the server knows who answers. */
  idOf(model) {
    return model || this.#base;
  }

  /** Return the name that stands before a reply. */
  nameOf(model) {
    return !model || model === this.#base ? "Assistant" : model[0].toUpperCase() + model.slice(1);
  }

  get #base() {
    return this.#models.find(({ chatbot }) => !chatbot.persona)?.id ?? "";
  }
}

function option(id, description) {
  return element("option", { value: id, textContent: id, title: description ?? "" });
}

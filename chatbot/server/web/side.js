/** The list beside the chat: where the page is narrow it lies over the chat, and comes and goes. */

const SEARCH_MS = 250;

export class Side {
  #menu = document.getElementById("menu");
  #field = document.getElementById("search");
  #due = null;

  /** `onSearch` is told the words to search for once the user pauses. */
  constructor(onSearch) {
    this.#field.addEventListener("input", () => this.#searched(onSearch));
    this.#menu.onclick = () => this.#toggle();
    document.getElementById("skip").onclick = skip;
    document.getElementById("shade").onclick = () => this.close();
    document.getElementById("new").onclick = () => this.close();
    document.getElementById("side").addEventListener("keydown", (event) => this.#pressed(event));
  }

  close() {
    document.body.classList.remove("side-open");
    this.#menu.setAttribute("aria-expanded", "false");
  }

  #toggle() {
    const isOpen = document.body.classList.toggle("side-open");
    this.#menu.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) document.getElementById("new").focus();
  }

  #pressed(event) {
    if (event.key !== "Escape" || !document.body.classList.contains("side-open")) return;
    this.close();
    this.#menu.focus();
  }

  #searched(onSearch) {
    clearTimeout(this.#due);
    this.#due = setTimeout(() => onSearch(this.#field.value.trim()), SEARCH_MS);
  }
}

/** The part of the address after # names a conversation, so it cannot name a place in the page. */
function skip(event) {
  event.preventDefault();
  document.getElementById("transcript").focus();
}

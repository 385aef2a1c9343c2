/** The HTTP half of the protocol: who can answer, conversations and their messages. */

const ANSWER_MS = 60000;

/** The server said no, and why. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.message ?? `the server answered ${status}`);
    this.status = status;
    this.code = error.code ?? "";
  }
}

/** No answer came, or not the whole of it. */
class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached.");
  }
}

/** Say whether what failed is to be done later: nobody answered, or a key is to be given first. */
export function isForLater(error) {
  return error instanceof Unreachable || error.status === 401;
}

export class Api {
  #key;

  /** `key` returns the API key, or null. */
  constructor(key) {
    this.#key = key;
  }

  models(signal) {
    return this.#request("GET", "models", { signal });
  }

  conversations(query) {
    return this.#request("GET", `conversations?${new URLSearchParams(query)}`);
  }

  conversation(id) {
    return this.#request("GET", `conversations/${encodeURIComponent(id)}`);
  }

  /** Make a conversation; the same key again gives the same one. */
  createConversation(fields, key) {
    return this.#request("POST", "conversations", { body: fields, key });
  }

  changeConversation(id, fields) {
    return this.#request("POST", `conversations/${encodeURIComponent(id)}`, { body: fields });
  }

  deleteConversation(id) {
    return this.#request("DELETE", `conversations/${encodeURIComponent(id)}`);
  }

  items(id, query) {
    return this.#request("GET", `conversations/${encodeURIComponent(id)}/items?${new URLSearchParams(query)}`);
  }

  item(id, item) {
    return this.#request("GET", `conversations/${encodeURIComponent(id)}/items/${encodeURIComponent(item)}`);
  }

  response(id) {
    return this.#request("GET", `responses/${encodeURIComponent(id)}`);
  }

  cancel(id) {
    return this.#request("POST", `responses/${encodeURIComponent(id)}/cancel`);
  }

  /** A request that is never answered would keep others waiting for ever. */
  async #request(method, path, { body, signal = AbortSignal.timeout(ANSWER_MS), key } = {}) {
    const headers = { "Content-Type": "application/json" };
    if (this.#key()) headers.Authorization = `Bearer ${this.#key()}`;
    if (key) headers["Idempotency-Key"] = key;
    const content = body && JSON.stringify(body);
    const options = { method, headers, body: content, signal, cache: "no-store" };
    const answer = await fetch(`v1/${path}`, options).catch(() => {
      throw new Unreachable();
    });
    const told = await answer.json().catch(() => null);
    if (!answer.ok) throw new Refused(answer.status, told?.error ?? {});
    if (told === null) throw new Unreachable();
    return told;
  }
}

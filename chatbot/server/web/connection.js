/**
 * One WebSocket that comes back by itself.
 *
 * `onLive` runs once for each new socket, before anything of it is read: what must outlive a lost socket is said again
 * there. Before each socket `admit` asks over HTTP, for a browser does not tell a page why a handshake was refused.
 */

const FIRST_DELAY_MS = 250;
const CEILING_MS = 8000;
const ANSWER_MS = 15000;

export class Connection {
  state = "connecting";
  #delayMs = FIRST_DELAY_MS;
  #socket = null;
  #timer = null;
  #attempt = 0;
  #listener;

  /** `listener` has `admit`, `protocols`, `onState`, `onLive`, `onEvent` and `onTooLarge`. */
  constructor(listener) {
    this.#listener = listener;
    addEventListener("online", () => this.#hurry());
    addEventListener("offline", () => this.drop());
    addEventListener("focus", () => this.#look());
    document.addEventListener("visibilitychange", () => document.hidden || this.#look());
  }

  /** Connect now. */
  async start() {
    clearTimeout(this.#timer);
    if (this.state === "locked") this.#tell("connecting");
    const attempt = ++this.#attempt;
    const admitted = await this.#admitted();
    if (attempt !== this.#attempt) return; // another one began meanwhile
    if (admitted === "yes") this.#open();
    else if (admitted === "no") this.#tell("locked");
    else this.#retry();
  }

  /** Send a frame; false where there is no socket, and then `onLive` comes later. */
  send(frame) {
    if (this.state !== "live") return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Give this socket up, whether or not it still seems to live, and get another. */
  drop() {
    if (this.state !== "live") return;
    this.#socket.close();
    this.#lost(this.#socket, 0);
  }

  /** "yes", "no" where a key is needed, "later" where nobody answers or the answer is none. */
  async #admitted() {
    try {
      await this.#listener.admit(AbortSignal.timeout(ANSWER_MS));
      return "yes";
    } catch (error) {
      return error.status === 401 ? "no" : "later";
    }
  }

  #open() {
    const url = new URL("v1/responses", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, this.#listener.protocols());
    this.#socket?.close(); // one that was never answered
    this.#socket = socket;
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (message) => this.#heard(socket, message);
    socket.onclose = (closed) => this.#lost(socket, closed.code);
  }

  #opened(socket) {
    if (socket !== this.#socket) return;
    this.#tell("live");
    this.#listener.onLive();
  }

  #heard(socket, message) {
    if (socket !== this.#socket) return;
    this.#delayMs = FIRST_DELAY_MS; // only now: a socket that is closed at once was of no use
    this.#listener.onEvent(JSON.parse(message.data));
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (code === 1009) this.#listener.onTooLarge();
    this.#retry();
  }

  #retry() {
    this.#tell("lost");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), this.#delayMs * (0.5 + Math.random() / 2));
    this.#delayMs = Math.min(this.#delayMs * 2, CEILING_MS);
  }

  #hurry() {
    if (this.state === "lost") this.start();
  }

  /** Whoever comes back to a page, perhaps from sleep, shall not write into a socket that died long ago. */
  async #look() {
    if (this.state !== "live") return this.#hurry();
    const socket = this.#socket;
    const admitted = await this.#admitted();
    if (admitted !== "yes" && socket === this.#socket) this.drop();
  }

  #tell(state) {
    if (state === this.state) return;
    this.state = state;
    this.#listener.onState(state);
  }
}

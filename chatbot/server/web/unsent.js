/** What could not be sent, kept for each chat in this tab until it is sent, said otherwise or discarded. */

import { keep, kept } from "./kept.js";

/** Keep what of the messages of a chat could not be sent. */
export function keepUnsent(id, messages) {
  const unsent = messages.filter(({ status }) => status === "unsent").map(({ text, why }) => ({ text, why }));
  keep(nameOf(id), unsent.length ? JSON.stringify(unsent) : null);
}

/** Return what the messages are made of that could not be sent. */
export function unsentOf(id) {
  return JSON.parse(kept(nameOf(id)) ?? "[]").map((fields) => ({ ...fields, role: "user", status: "unsent" }));
}

function nameOf(id) {
  return `unsent:${id ?? "new"}`;
}

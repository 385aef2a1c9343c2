/** What could not be sent, kept for each chat in this tab until it is sent, said otherwise or discarded. */

import { keep, kept } from "./kept.js";

const UNMADE = "unmade";
const LEFT = "the page was left before the server could be reached";

const waiting = new Set(); // what is sent once the server has made its chat

/** Keep what of the messages of a chat could not be sent. */
export function keepUnsent(id, messages) {
  const unsent = messages.filter(({ status }) => status === "unsent");
  keepAll(nameOf(id), unsent.map(({ text, why }) => ({ text, why })));
}

/** Return what the messages are made of that could not be sent. */
export function unsentOf(id) {
  return keptAll(nameOf(id)).map((fields) => ({ ...fields, role: "user", status: "unsent" }));
}

/** Keep a text until its chat is made, however it ends; the page may be left before. */
export async function keptUntil(text, making) {
  const entry = { text, why: LEFT };
  waiting.add(entry);
  keepAll(UNMADE, [...waiting]);
  try {
    return await making;
  } finally {
    waiting.delete(entry);
    keepAll(UNMADE, [...waiting]);
  }
}

/** What waited for a chat as the page was left stands in the blank one. */
export function recoverUnmade() {
  keepAll(nameOf(null), [...keptAll(nameOf(null)), ...keptAll(UNMADE)]);
  keepAll(UNMADE, []);
}

function nameOf(id) {
  return `unsent:${id ?? "new"}`;
}

function keptAll(name) {
  return JSON.parse(kept(name) ?? "[]");
}

function keepAll(name, entries) {
  keep(name, entries.length ? JSON.stringify(entries) : null);
}

/** A page of the server's items, put into a chat that may show some of them already. */

import { itemText } from "./message.js";

const STATUSES = { in_progress: "streaming", incomplete: "incomplete" };

/**
 * Return the messages of a chat as its newest page, newest first, says: what others said comes in, what they deleted
 * goes. An item that is shown keeps its message, and what could not be sent stays at the end.
 */
export function merged(shown, { data, has_more: hasMore }, make) {
  const items = data.filter((item) => item.role !== "system").reverse();
  nameOurs(shown, items);
  const known = new Map(shown.filter((message) => message.id).map((message) => [message.id, message]));
  const newest = items.map((item) => known.get(item.id) ?? make(described(item)));
  newest.forEach((message, place) => message.tellVersions(items[place].versions));
  const older = hasMore ? shown.slice(0, Math.max(shown.indexOf(newest[0]), 0)) : [];
  return [...older, ...newest, ...shown.filter((message) => message.status === "unsent")];
}

/** Return what a message is made of. */
export function described(item) {
  const status = item.role === "user" ? "completed" : STATUSES[item.status] ?? "completed";
  const { role, id, response_id: responseId, model, versions } = item;
  return { role, id, responseId, text: itemText(item), status, model, versions };
}

/** What was said here goes by its response until the server has named it: it is what that reply answers. */
function nameOurs(shown, items) {
  for (const item of items) {
    const reply = item.response_id && shown.find((message) => message.responseId === item.response_id);
    if (!reply || reply.id) continue;
    reply.id = item.id;
    const question = shown.find((message) => message.reply === reply);
    if (question) question.id = item.parent_id;
  }
}

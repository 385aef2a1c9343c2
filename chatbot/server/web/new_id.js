/** Names that nobody else has; `crypto.randomUUID` is there over HTTPS only. */

/** Return a new one, which says of what kind it is. */
export function newId(kind) {
  const parts = crypto.getRandomValues(new Uint32Array(4));
  return `${kind}_${Array.from(parts, (part) => part.toString(16).padStart(8, "0")).join("")}`;
}

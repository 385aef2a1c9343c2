/** Copying with a button, which tells by itself for a while what came of it. */

import { button } from "./element.js";

const TOLD_MS = 2000;
const SAYS = "Copy";

/** Return a button that copies what `text` returns, or null where the browser copies nothing for this page. */
export function copyButton(className, title, text) {
  if (!navigator.clipboard) return null;
  const made = button(SAYS, className, () => copy(text(), made));
  return Object.assign(made, { title, ariaLive: "polite" });
}

async function copy(text, pressed) {
  pressed.textContent = await navigator.clipboard.writeText(text).then(
    () => "Copied",
    () => "Not copied",
  );
  setTimeout(() => (pressed.textContent = SAYS), TOLD_MS);
}

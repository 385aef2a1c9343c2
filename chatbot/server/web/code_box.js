/** Fenced code in a box, with a button that copies it. */

import { button, element } from "./element.js";

const TOLD_MS = 2000;

/** Return the box of some code; a browser copies only for a page that it trusts. */
export function codeBox(text) {
  const code = element("pre", { tabIndex: 0 }, element("code", { textContent: text }));
  return element("div", { className: "code" }, code, ...(navigator.clipboard ? [copyButton(text)] : []));
}

function copyButton(text) {
  const made = button("Copy", "copy-code", () => copy(text, made));
  return Object.assign(made, { title: "Copy this code", ariaLive: "polite" });
}

/** Copy, and let the button itself tell for a while what came of it. */
async function copy(text, pressed) {
  pressed.textContent = await navigator.clipboard.writeText(text).then(
    () => "Copied",
    () => "Not copied",
  );
  setTimeout(() => (pressed.textContent = "Copy"), TOLD_MS);
}

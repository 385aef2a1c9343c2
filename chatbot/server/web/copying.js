/** Copying with a button, which tells by itself for a while what came of it. */

import { button } from "./element.js";

const TOLD_MS = 2000;
const SAYS = "Copy";

/** Return a button that copies what `text` returns. */
export function copyButton(className, title, text) {
  const made = button(SAYS, className, () => copy(text(), made));
  return Object.assign(made, { title, ariaLive: "polite" });
}

async function copy(text, pressed) {
  pressed.textContent = (await isCopied(text)) ? "Copied" : "Not copied";
  setTimeout(() => (pressed.textContent = SAYS), TOLD_MS);
}

/** A page that came over plain HTTP, as from another machine at home, has no clipboard but at the command to copy. */
async function isCopied(text) {
  if (!navigator.clipboard) return isCopiedAtCommand(text);
  return navigator.clipboard.writeText(text).then(() => true, () => false);
}

function isCopiedAtCommand(text) {
  const put = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", put);
  const isCopied = document.execCommand("copy");
  document.removeEventListener("copy", put);
  return isCopied;
}

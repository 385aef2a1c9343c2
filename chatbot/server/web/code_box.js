/** Fenced code in a box, with a button that copies it. */

import { copyButton } from "./copying.js";
import { element } from "./element.js";

/** Return the box of some code. */
export function codeBox(text) {
  const code = element("pre", { tabIndex: 0 }, element("code", { textContent: text }));
  return element("div", { className: "code" }, code, copyButton("copy-code", "Copy this code", () => text));
}

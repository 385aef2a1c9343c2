/** Questions that the page asks before it goes on. */

import { button, element } from "./element.js";

/** Resolve to whether the user says yes. */
export async function confirmed(question, yes) {
  return (await asked([element("p", { textContent: question })], yes, "danger")) !== null;
}

/** Resolve to a line of text, or to null if the user wants none. */
export async function askedLine(question, value, maxLength) {
  const field = element("input", { type: "text", value, maxLength, required: true, onfocus: () => field.select() });
  const answer = await asked([element("label", {}, question, field)], "Save", "primary");
  return answer === null ? null : field.value.trim();
}

/** Resolve to an API key and whether it is to be remembered. It is asked for until it is given. */
export async function askedKey(why) {
  const field = element("input", { type: "password", required: true, pattern: "\\s*[A-Za-z0-9_\\-]+\\s*" });
  Object.assign(field, { autocomplete: "off", title: "letters, digits, _ and -" });
  const remember = element("input", { type: "checkbox" });
  const told = element("p", { textContent: why });
  told.setAttribute("role", "alert");
  const labels = [
    element("label", {}, "API key", field),
    element("label", { className: "tick" }, remember, "Remember it in this browser"),
  ];
  while ((await asked([told, ...labels], "Connect", "primary", false)) === null);
  return { key: field.value.trim(), isRemembered: remember.checked };
}

/** Show a dialog and resolve to its answer, or to null if it was left. */
function asked(content, yes, className, canLeave = true) {
  const accept = element("button", { value: "yes", textContent: yes, className });
  const cancel = button("Cancel", "", () => dialog.close());
  const form = element("form", { method: "dialog" }, ...content);
  form.append(element("div", { className: "choices" }, ...(canLeave ? [cancel] : []), accept));
  const dialog = element("dialog", {}, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    };
  });
}

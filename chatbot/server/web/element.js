/** Making and placing elements. What people and models wrote goes in as text only. */

/** Return a new element with properties, such as `textContent`, and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Return a button that does something. */
export function button(text, className, onclick) {
  return element("button", { type: "button", className, textContent: text, onclick });
}

/**
 * Make elements the children of a parent, in their order. Those that stand right already are not touched, nor is the
 * focus; where what had it goes, what stands in its place then has it.
 */
export function arrange(parent, elements) {
  const focused = document.activeElement;
  const place = [...parent.children].findIndex((child) => child.contains(focused));
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((child, place) => {
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  if (place < 0 || focused === document.activeElement) return;
  const heir = focused.isConnected ? focused : focusable(parent.children[place] ?? parent.lastElementChild);
  heir?.focus({ preventScroll: true });
}

function focusable(child) {
  return child?.hasAttribute("tabindex") ? child : child?.querySelector("a, button");
}

/** What the browser keeps for this page. Where it may keep nothing all works, but does not outlive a reload. */

const PREFIX = "chatbot:";

/** Return what was kept under a name, or null. What this tab keeps goes before what the browser keeps. */
export function kept(name) {
  return readFrom(() => sessionStorage, name) ?? readFrom(() => localStorage, name);
}

/** Keep a text in this tab; null forgets it. */
export function keep(name, text) {
  writeTo(() => sessionStorage, name, text);
}

/** Keep a text in this browser, for every tab and the next visit; null forgets it. */
export function keepForLong(name, text) {
  writeTo(() => localStorage, name, text);
}

function readFrom(storage, name) {
  try {
    return storage().getItem(PREFIX + name);
  } catch {
    return null; // the browser was told to let pages keep nothing
  }
}

function writeTo(storage, name, text) {
  try {
    if (text === null || text === "") storage().removeItem(PREFIX + name);
    else storage().setItem(PREFIX + name, text);
  } catch {
    // forbidden, or full
  }
}

/** The keyboard in a list of rows: Tab stops in one of them only, and the arrows go to the others. */

/** Tab stops in the row that has the focus, else in the one that is open, else in the first. */
export function setTabStops(list) {
  const rows = [...list.children];
  const isOpen = (row) => row.querySelector("[aria-current]");
  const stop = rows.find((row) => row.matches(":focus-within")) ?? rows.find(isOpen) ?? rows[0];
  for (const row of rows) for (const part of row.children) part.tabIndex = row === stop ? 0 : -1;
}

/** Keep the stops right as the focus moves, and let Up, Down, Home and End move it. */
export function watchKeys(list) {
  list.addEventListener("focusin", () => setTabStops(list));
  list.addEventListener("focusout", () => setTabStops(list));
  list.addEventListener("keydown", (event) => {
    const row = wantedRow(list, event);
    if (!row) return;
    event.preventDefault();
    row.firstElementChild.focus();
  });
}

function wantedRow(list, { key, target }) {
  const row = target.closest("li");
  if (key === "ArrowDown") return row.nextElementSibling;
  if (key === "ArrowUp") return row.previousElementSibling;
  if (key === "Home") return list.firstElementChild;
  return key === "End" ? list.lastElementChild : null;
}

/** Tables: a row of names, a row of dashes that says how each column is aligned, and the rows below it. */

import { element } from "./element.js";
import { inline } from "./inline.js";

const DASHES = /^:?-+:?$/;

/** Say whether a table stands at the head of some lines: as many dashes as names. */
export function beginsTable(lines) {
  if (lines.length < 2 || !lines[0].includes("|")) return false;
  const dashes = cells(lines[1]);
  return dashes.every((cell) => DASHES.test(cell)) && dashes.length === cells(lines[0]).length;
}

/** Take a table off some lines. It scrolls in a box of its own where it is too wide. */
export function table(lines) {
  const names = cells(lines.shift());
  const columns = cells(lines.shift()).map(alignment);
  const head = element("thead", {}, row("th", names, columns));
  const body = element("tbody");
  while (lines.length && lines[0].includes("|")) body.append(row("td", cells(lines.shift()), columns));
  return element("div", { className: "table", tabIndex: 0 }, element("table", {}, head, body));
}

/** A row that is too short stays so: to fill up many would take long. */
function row(tag, texts, columns) {
  const shown = texts.slice(0, columns.length);
  return element("tr", {}, ...shown.map((text, place) => element(tag, columns[place], ...inline(text))));
}

/** Return the texts between the bars of a line. */
function cells(line) {
  const inside = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inside.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function alignment(dashes) {
  if (!dashes.endsWith(":")) return {};
  return { className: dashes.startsWith(":") ? "center" : "right" };
}

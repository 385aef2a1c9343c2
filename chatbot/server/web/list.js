/** Lists: items with bullets, with numbers as they were written, and with boxes that are ticked or not. */

import { element } from "./element.js";
import { dedented, indentOf, taken } from "./lines.js";

export const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/; // of marks that may be bullets
const BULLET = /^\s*[-*+]\s+/;
const NUMBER = /^\s*(\d{1,9})[.)]\s+/;
const FIRST_NUMBER = /^\s*1[.)]\s+/;
const TASK = /^\[([ xX])\]\s+/;
const NESTED_COLUMNS = 2; // so much further in, a list belongs to the item above it
const NARROW_DIGITS = 2; // for so many the style sheet leaves room

/** Say whether a line begins an item. */
export function beginsItem(line) {
  return !RULE.test(line) && (BULLET.test(line) || NUMBER.test(line));
}

/** Say whether a line in a paragraph ends it and begins a list: a number other than 1 is more likely a year, or a sum. */
export function beginsList(line) {
  return BULLET.test(line) || FIRST_NUMBER.test(line);
}

/** Take a list off some lines; `blocks` returns what the lines in an item become. */
export function list(lines, blocks) {
  return BULLET.test(lines[0]) ? bulleted(lines, blocks) : numbered(lines, blocks);
}

function bulleted(lines, blocks) {
  const made = element("ul");
  while (goesOn(lines, BULLET)) made.append(item(lines, BULLET, blocks));
  return made;
}

/** Items count on from the first; one with another number than the one before has its own, as in a countdown. */
function numbered(lines, blocks) {
  const made = element("ol", { start: numberOf(lines[0]) });
  let due = made.start;
  for (let before = null; goesOn(lines, NUMBER); due += 1) {
    const number = numberOf(lines[0]);
    const one = item(lines, NUMBER, blocks);
    if (![due, before].includes(number)) due = one.value = number;
    made.append(one);
    before = number;
  }
  const digits = String(Math.max(made.start, due - 1)).length;
  if (digits > NARROW_DIGITS) made.style.paddingInlineStart = `${digits + 1}ch`;
  return made;
}

function numberOf(line) {
  return Number(line.match(NUMBER)[1]);
}

function goesOn(lines, mark) {
  return lines.length && mark.test(lines[0]) && !RULE.test(lines[0]);
}

/** What an item says first stands in it without a paragraph, and then what is indented under it. */
function item(lines, mark, blocks) {
  const deeper = indentOf(lines[0]) + NESTED_COLUMNS;
  const isUnder = (line) => indentOf(line) >= deeper || (/^\s/.test(line) && !beginsItem(line));
  const first = lines.shift().replace(mark, "");
  const under = dedented(taken(lines, (line) => !line.trim() || isUnder(line)));
  const [text, ...rest] = blocks([first.replace(TASK, ""), ...under]);
  const said = text?.tagName === "P" ? text.childNodes : [text ?? ""];
  return element("li", {}, ...tick(first), ...said, ...rest);
}

function tick(first) {
  const [, done] = first.match(TASK) ?? [];
  if (done === undefined) return [];
  return [element("input", { type: "checkbox", defaultChecked: done !== " ", disabled: true, ariaLabel: "Done" })];
}

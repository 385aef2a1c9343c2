/** The Markdown that chats are made of: paragraphs, headings, rules, lists, quotes, tables and fenced code. */

import { codeBox } from "./code_box.js";
import { element } from "./element.js";
import { inline } from "./inline.js";
import { beginsTable, table } from "./table.js";

const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})/; // with more backticks behind it is code inside a line
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const BULLET = /^\s*[-*+]\s+/;
const NUMBER = /^\s*(\d{1,9})[.)]\s+/;
const HEADING = /^#{1,6}\s+/;
const TAB_COLUMNS = 4;
const NESTED_COLUMNS = 2; // so much further in, a list belongs to the item above it
const DEEPEST = 8; // lists and quotes in each other; what is deeper stays text

/**
 * Return a text as `rendered` does, where `there` is shown of it: what has grown only at its end is not made anew. The
 * last line may still change what it is, and with it where the block before it ends, so two blocks are.
 */
export function renderedOn(there, text) {
  const kept = there.slice(0, -2);
  const begun = kept.map((block) => `${block.source}\n`).join("");
  const whole = text.replaceAll("\r\n", "\n");
  return whole.startsWith(begun) ? [...kept, ...rendered(whole.slice(begun.length))] : rendered(whole);
}

/** Return a text as elements, each with its `source`. Nothing in it can become anything but these. */
export function rendered(text) {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const whole = [...lines];
  const made = [];
  let end = 0;
  for (const block of blocks(lines, 0)) {
    const start = end;
    end = whole.length - lines.length;
    made.push(Object.assign(block, { source: whole.slice(start, end).join("\n") }));
  }
  return made;
}

function* blocks(lines, depth) {
  while (lines.length) {
    if (lines[0].trim()) yield nextBlock(lines, depth);
    else lines.shift();
  }
}

function nextBlock(lines, depth) {
  const line = lines[0];
  if (FENCE.test(line)) return code(lines);
  if (HEADING.test(line)) return element("h4", {}, ...inline(lines.shift().replace(HEADING, "")));
  if (RULE.test(line)) return ruled(lines);
  if (QUOTE.test(line) && depth < DEEPEST) return quote(lines, depth + 1);
  if (beginsItem(line) && depth < DEEPEST) return list(lines, depth + 1);
  if (beginsTable(lines)) return table(lines);
  return paragraph(lines);
}

function ruled(lines) {
  lines.shift();
  return element("hr");
}

/** A fence that is not closed yet, for its reply is still on its way, goes to the end. */
function code(lines) {
  const fence = lines.shift().match(FENCE)[1];
  const inside = taken(lines, (line) => !closes(line, fence));
  lines.shift();
  return codeBox(inside.join("\n"));
}

/** A fence is closed by one as long without words behind it, which would be lost, or open a block in the block. */
function closes(line, fence) {
  return line.trim().startsWith(fence) && !line.trim().replaceAll(fence[0], "");
}

function quote(lines, depth) {
  const inside = taken(lines, (line) => QUOTE.test(line)).map((line) => line.replace(QUOTE, ""));
  return element("blockquote", {}, ...blocks(inside, depth));
}

function list(lines, depth) {
  const mark = BULLET.test(lines[0]) ? BULLET : NUMBER;
  const made = mark === BULLET ? element("ul") : element("ol", { start: Number(lines[0].match(NUMBER)[1]) });
  while (lines.length && mark.test(lines[0]) && !RULE.test(lines[0])) made.append(item(lines, mark, depth));
  return made;
}

/** What an item says first stands in it without a paragraph, and then what is indented under it. */
function item(lines, mark, depth) {
  const deeper = indentOf(lines[0]) + NESTED_COLUMNS;
  const isUnder = (line) => indentOf(line) >= deeper || (/^\s/.test(line) && !beginsItem(line));
  const first = lines.shift().replace(mark, "");
  const [text, ...rest] = blocks([first, ...dedented(taken(lines, (line) => !line.trim() || isUnder(line)))], depth);
  if (!text) return element("li");
  return element("li", {}, ...(text.tagName === "P" ? text.childNodes : [text]), ...rest);
}

function paragraph(lines) {
  const first = lines.shift();
  const rest = taken(lines, (line) => line.trim() && !beginsBlock(lines));
  return element("p", {}, ...inline([first, ...rest].join("\n")));
}

function beginsBlock(lines) {
  return [FENCE, HEADING, RULE, QUOTE, BULLET, NUMBER].some((mark) => mark.test(lines[0])) || beginsTable(lines);
}

function beginsItem(line) {
  return !RULE.test(line) && (BULLET.test(line) || NUMBER.test(line));
}

/** Take lines off as long as they belong. */
function taken(lines, belongs) {
  const found = [];
  while (lines.length && belongs(lines[0])) found.push(lines.shift());
  return found;
}

/** Return lines without the indentation that they have in common. */
function dedented(lines) {
  const indents = lines.filter((line) => line.trim()).map(indentOf);
  const common = indents.reduce((least, indent) => Math.min(least, indent), Infinity);
  return lines.map((line) => outdented(line, common));
}

function outdented(line, columns) {
  let place = 0;
  for (let column = 0; column < columns && /\s/.test(line[place] ?? ""); place += 1) column += columnsOf(line[place]);
  return line.slice(place);
}

function indentOf(line) {
  return [...line.match(/^\s*/)[0]].reduce((columns, space) => columns + columnsOf(space), 0);
}

function columnsOf(space) {
  return space === "\t" ? TAB_COLUMNS : 1;
}

/** The Markdown that chats are made of: paragraphs, headings, rules, lists, quotes, tables and fenced code. */

import { codeBox } from "./code_box.js";
import { element } from "./element.js";
import { inline } from "./inline.js";
import { taken } from "./lines.js";
import { RULE, beginsItem, beginsList, list } from "./list.js";
import { beginsTable, table } from "./table.js";

const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})/; // with more backticks behind it is code inside a line
const QUOTE = /^ {0,3}> ?/;
const HEADING = /^(#{1,6})\s+/;
const CLOSING = /\s+#+\s*$/;
const UNDERLINE = /^ {0,3}(={3,}|-{3,})[ \t]*$/;
const LEVELS_ABOVE = 3; // headings of the page itself
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
  if (HEADING.test(line)) return heading(line.match(HEADING)[1].length, lines.shift().replace(HEADING, ""));
  if (RULE.test(line)) return ruled(lines);
  if (QUOTE.test(line) && depth < DEEPEST) return quote(lines, depth + 1);
  if (beginsItem(line) && depth < DEEPEST) return list(lines, (inside) => blocks(inside, depth + 1));
  if (beginsTable(lines)) return table(lines);
  if (UNDERLINE.test(lines[1] ?? "")) return underlined(lines);
  return paragraph(lines);
}

function heading(level, text) {
  return element(`h${Math.min(LEVELS_ABOVE + level, 6)}`, {}, ...inline(text.replace(CLOSING, "")));
}

/** A heading is one line; below several, dashes are a rule. */
function underlined(lines) {
  const [text, line] = lines.splice(0, 2);
  return heading(line.includes("=") ? 1 : 2, text.trim());
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

function paragraph(lines) {
  const first = lines.shift();
  const rest = taken(lines, (line) => line.trim() && !beginsBlock(lines));
  return element("p", {}, ...inline([first, ...rest].join("\n")));
}

function beginsBlock(lines) {
  return [FENCE, HEADING, RULE, QUOTE].some((mark) => mark.test(lines[0])) || beginsList(lines[0]) || beginsTable(lines);
}

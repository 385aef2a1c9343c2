/** The Markdown that chats are made of: paragraphs, headings, lists, fenced code, **bold**, *italic* and `code`. */

import { element } from "./element.js";

const FENCE = /^ {0,3}(```+|~~~+)/;
const BULLET = /^\s{0,3}[-*+]\s+/;
const NUMBER = /^\s{0,3}(\d{1,9})[.)]\s+/;
const HEADING = /^#{1,6}\s+/;
const CODE = "(`+)(?<code>.{1,2000}?)\\1(?!`)";
const BOLD = "\\*\\*(?<bold>\\S(?:.{0,2000}?\\S)?)\\*\\*";
const ITALIC = "(?<![*\\w])\\*(?<italic>[^\\s*](?:[^*]{0,2000}[^\\s*])?)\\*(?![*\\w])";
/** Bounded, so that no text takes long. */
const INLINE = new RegExp([CODE, BOLD, ITALIC].join("|"), "gs");

/** Return a text as elements. Nothing in it can become anything but these. */
export function rendered(text) {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const blocks = [];
  while (lines.length) {
    if (lines[0].trim()) blocks.push(nextBlock(lines));
    else lines.shift();
  }
  return blocks;
}

function nextBlock(lines) {
  if (FENCE.test(lines[0])) return code(lines);
  if (HEADING.test(lines[0])) return element("h4", {}, ...inline(lines.shift().replace(HEADING, "")));
  if (BULLET.test(lines[0])) return list(lines, BULLET, element("ul"));
  if (NUMBER.test(lines[0])) return list(lines, NUMBER, element("ol", { start: Number(lines[0].match(NUMBER)[1]) }));
  return element("p", {}, ...inline(taken(lines, (line) => line.trim() && !beginsBlock(line)).join("\n")));
}

/** A fence that is not closed yet, for its reply is still on its way, goes to the end. */
function code(lines) {
  const fence = lines.shift().match(FENCE)[1];
  const inside = [];
  while (lines.length && !lines[0].trim().startsWith(fence)) inside.push(lines.shift());
  lines.shift();
  return element("pre", { tabIndex: 0 }, element("code", { textContent: inside.join("\n") }));
}

function list(lines, mark, made) {
  while (lines.length && mark.test(lines[0])) {
    const first = lines.shift().replace(mark, "");
    const rest = taken(lines, (line) => /^\s+\S/.test(line) && !mark.test(line));
    made.append(element("li", {}, ...inline([first, ...rest.map((line) => line.trim())].join("\n"))));
    if (lines.length > 1 && !lines[0].trim() && mark.test(lines[1])) lines.shift();
  }
  return made;
}

/** Take lines off as long as they belong. */
function taken(lines, belongs) {
  const found = [];
  while (lines.length && belongs(lines[0])) found.push(lines.shift());
  return found;
}

function beginsBlock(line) {
  return [FENCE, HEADING, BULLET, NUMBER].some((mark) => mark.test(line));
}

function inline(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    parts.push(text.slice(end, found.index), marked(found.groups));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)];
}

function marked({ code, bold, italic }) {
  if (code !== undefined) return element("code", { textContent: code });
  return element(bold === undefined ? "em" : "strong", {}, ...inline(bold ?? italic));
}

/** What stands inside a paragraph of Markdown: **bold**, *italic*, `code` and links to the web. */

import { element } from "./element.js";

const CODE = "(`+)(?<code>.{1,2000}?)\\1(?!`)";
const BOLD = "\\*\\*(?<bold>\\S(?:.{0,2000}?\\S)?)\\*\\*";
const ITALIC = "(?<![*\\w])\\*(?<italic>[^\\s*](?:[^*]{0,2000}[^\\s*])?)\\*(?![*\\w])";
const ADDRESS = "https?://(?:\\([^\\s()<>]{0,500}\\)|[^\\s()<>]){0,2000}";
const LINK = `!?\\[(?<label>[^\\[\\]]{1,1000})\\]\\((?<target>${ADDRESS})(?:\\s{1,9}"[^"]{0,500}")?\\)`;
/** A full stop or a quotation mark after an address is not part of it. */
const BARE = `(?<!\\w)(?<bare>${ADDRESS}(?:[\\p{L}\\p{N}/=&#%~+$@_-]|\\([^\\s()<>]{0,500}\\)))`;
/** Bounded, so that no text takes long. */
const TEXT_MARKS = new RegExp([CODE, BOLD, ITALIC].join("|"), "gsu");
const MARKS = new RegExp([CODE, BOLD, ITALIC, LINK, BARE].join("|"), "gsu");

/** Return a text as elements and plain strings. */
export function inline(text, marks = MARKS) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(marks)) {
    parts.push(text.slice(end, found.index), marked(found.groups, marks));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)];
}

function marked({ code, bold, italic, label, target, bare }, marks) {
  if (code !== undefined) return element("code", { textContent: code });
  if (label !== undefined) return link(target, inline(label, TEXT_MARKS));
  if (bare !== undefined) return link(bare, [bare]);
  return element(bold === undefined ? "em" : "strong", {}, ...inline(bold ?? italic, marks));
}

function link(href, content) {
  return element("a", { href, rel: "noopener noreferrer", target: "_blank" }, ...content);
}

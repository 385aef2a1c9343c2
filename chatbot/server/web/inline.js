/** What stands inside a paragraph of Markdown: **bold**, *italic*, ~~struck~~, `code`, breaks, entities and links to the web. */

import { element } from "./element.js";
import { ENTITY, character } from "./entity.js";

const WORD = "[\\p{L}\\p{N}_]";
/** A mark of ASCII, or the end of a line, that is to be seen as it is. */
const ESCAPE = "\\\\(?<plain>[\\n!-/:-@\\[-`{-~])";
const CODE = "(?<!`)(?<ticks>`+)(?!`)(?<code>.{1,2000}?)(?<!`)\\k<ticks>(?!`)";
const BOTH = "\\*\\*\\*(?<both>[^\\s*](?:[^*]{0,2000}[^\\s*])?)\\*\\*\\*(?!\\*)";
const BOLD = "\\*\\*(?<bold>[^\\s*](?:.{0,2000}?\\S)??)\\*\\*(?!\\*)";
const BOLD_INSIDE = "\\*\\*[^*]{1,500}\\*\\*";
const ITALIC = `(?<![*\\w])\\*(?<italic>(?!\\s)(?:[^*]|${BOLD_INSIDE}){1,2000}(?<!\\s))\\*(?![*\\w])`;
const LOW_BOLD = `(?<!${WORD})__(?<lowBold>[^\\s_](?:[^_]{0,2000}[^\\s_])?)__(?!${WORD})`;
const LOW_ITALIC = `(?<!${WORD})_(?<lowItalic>[^\\s_](?:[^_]{0,2000}[^\\s_])?)_(?!${WORD})`;
const STRUCK = "(?<!~)~~(?<struck>[^\\s~](?:[^~]{0,2000}[^\\s~])?)~~(?!~)";
const CHARACTER = `&(?<entity>${ENTITY});`;
const BREAK = "(?<br><br ?/?>)";
const REST = "(?:\\([^\\s()<>]{0,500}\\)|[^\\s()<>]){0,2000}";
const ADDRESS = `https?://${REST}`;
const NAMED = `(?<![/@.-])www\\.(?=[\\p{L}\\p{N}-]{1,63}\\.\\p{L})${REST}`;
const MAIL = "mailto:[^\\s()<>]{1,500}";
const LINK = `!?\\[(?<label>[^\\[\\]]{1,1000})\\]\\((?<target>${ADDRESS}|${MAIL})(?:\\s{1,9}"[^"]{0,500}")?\\)`;
const BRACKETED = "<(?<bracketed>https?://[^\\s<>]{1,2000})>";
/** A full stop or a quotation mark after an address is not part of it. */
const BARE = `(?<!\\w)(?<bare>(?:${ADDRESS}|${NAMED})(?:[\\p{L}\\p{N}/=&#%~+$@_-]|\\([^\\s()<>]{0,500}\\)))`;
const TEXT = [ESCAPE, CODE, BOTH, BOLD, ITALIC, LOW_BOLD, LOW_ITALIC, STRUCK, CHARACTER, BREAK];
/** Bounded, so that no text takes long. */
const TEXT_MARKS = new RegExp(TEXT.join("|"), "gsu");
const MARKS = new RegExp([...TEXT, LINK, BRACKETED, BARE].join("|"), "gsu");

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

function marked({ plain, code, entity, br, label, target, bracketed, bare, ...styles }, marks) {
  if (plain !== undefined) return plain;
  if (code !== undefined) return element("code", { textContent: unpadded(code) });
  if (entity !== undefined) return character(entity);
  if (br !== undefined) return element("br");
  if (label !== undefined) return link(target, inline(label, TEXT_MARKS));
  const address = bracketed ?? bare;
  return address === undefined ? styled(styles, marks) : link(address.replace(/^www\./, "https://$&"), [address]);
}

function styled({ both, bold, lowBold, italic, lowItalic, struck }, marks) {
  const made = (tag, text) => element(tag, {}, ...inline(text, marks));
  if (both !== undefined) return element("strong", {}, made("em", both));
  if (struck !== undefined) return made("del", struck);
  const strong = bold ?? lowBold;
  return strong === undefined ? made("em", italic ?? lowItalic) : made("strong", strong);
}

/** A space at either end keeps backticks in code from those around it. */
function unpadded(code) {
  return /^ .*\S.* $/s.test(code) ? code.slice(1, -1) : code;
}

function link(href, content) {
  return element("a", { href, rel: "noopener noreferrer", target: "_blank" }, ...content);
}

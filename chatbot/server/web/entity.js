/** Characters that are written by a name or a number, as `&nbsp;` and `&#8594;` are. */

const NAMED = {
  amp: "&",
  apos: "'",
  bull: "•",
  cent: "¢",
  copy: "©",
  deg: "°",
  divide: "÷",
  euro: "€",
  ge: "≥",
  gt: ">",
  hellip: "…",
  laquo: "«",
  ldquo: "“",
  le: "≤",
  lsquo: "‘",
  lt: "<",
  mdash: "—",
  middot: "·",
  nbsp: "\u00a0",
  ndash: "–",
  ne: "≠",
  plusmn: "±",
  pound: "£",
  quot: '"',
  raquo: "»",
  rarr: "→",
  rdquo: "”",
  reg: "®",
  rsquo: "’",
  times: "×",
  trade: "™",
};
const LAST = 0x10ffff;

/** What stands between & and the semicolon, as part of a regular expression. */
export const ENTITY = `#\\d{1,7}|#[xX][\\da-fA-F]{1,6}|${Object.keys(NAMED).join("|")}`;

/** Return the character of an entity, or how it was written if there is none of that number. */
export function character(entity) {
  if (!entity.startsWith("#")) return NAMED[entity];
  const number = Number(entity.slice(1).replace(/^x/i, "0x"));
  return number > 0 && number <= LAST ? String.fromCodePoint(number) : `&${entity};`;
}

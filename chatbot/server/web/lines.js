/** Lines of a text: taking them off its head, and how far in they stand. */

const TAB_COLUMNS = 4;

/** Take lines off as long as they belong. */
export function taken(lines, belongs) {
  const found = [];
  while (lines.length && belongs(lines[0])) found.push(lines.shift());
  return found;
}

/** Return lines without the indentation that they have in common. */
export function dedented(lines) {
  const indents = lines.filter((line) => line.trim()).map(indentOf);
  const common = indents.reduce((least, indent) => Math.min(least, indent), Infinity);
  return lines.map((line) => outdented(line, common));
}

/** Return the columns that a line stands in. */
export function indentOf(line) {
  return [...line.match(/^\s*/)[0]].reduce((columns, space) => columns + columnsOf(space), 0);
}

function outdented(line, columns) {
  let place = 0;
  for (let column = 0; column < columns && /\s/.test(line[place] ?? ""); place += 1) column += columnsOf(line[place]);
  return line.slice(place);
}

function columnsOf(space) {
  return space === "\t" ? TAB_COLUMNS : 1;
}

"""Markdown as it is written in chats, laid out for a terminal."""

import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import dropwhile
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, ListItem, MarkdownElement, TableElement
from rich.markdown import Markdown as RichMarkdown
from rich.measure import Measurement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from textual.content import Content

from tui.safe_text import safe_text

READER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""Reads tags as text: nothing here draws HTML, and `vector<int>` is none."""

NARROWEST_COLUMN = 8
UNLIMITED = 10_000


class WholeTable(TableElement):
    """A table of which nothing is cut off: what is too wide for a column is broken, too many columns become lines."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            assert isinstance(table, Table)
            for column in table.columns:
                column.overflow = "fold"
            needed = Measurement.get(console, options.update(width=UNLIMITED), table).minimum
            is_crowded = options.max_width < min(needed, len(table.columns) * NARROWEST_COLUMN)
            yield from self._lines() if is_crowded else [table]

    def _lines(self) -> Iterator[Text]:
        """Yield each cell behind the head of its column, and an empty line after each row."""
        heads = [cell.content for cell in self.header.row.cells] if self.header and self.header.row else []
        for row in self.body.rows if self.body else []:
            for head, cell in zip(heads, row.cells, strict=False):
                yield Text.assemble(head, ": " if head else "", cell.content)
            yield Text()


class PointedItem(ListItem):
    """An item of a list whose number has the point that Rich leaves out."""

    def render_number(
        self, console: Console, options: ConsoleOptions, number: object, last_number: object
    ) -> RenderResult:
        return super().render_number(console, options, f"{number}.", f"{last_number}.")  # type: ignore[arg-type]


class CloseCode(CodeBlock):
    """Code that takes no more lines than it has."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, padding=(0, 1))


class ChatMarkdown(RichMarkdown):
    """Markdown as Rich lays it out, but for these."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **RichMarkdown.elements,
        "table_open": WholeTable,
        "list_item_open": PointedItem,
        "fence": CloseCode,
        "code_block": CloseCode,
    }


def code_blocks(text: str) -> list[str]:
    """Return the contents of the fenced code blocks, in order; an unclosed last one counts."""
    return [token.content.removesuffix("\n") for token in READER.parse(text) if token.type == "fence"]


def rendered(text: str, width: int) -> Content:
    """Return Markdown as it looks at a width, as selectable content."""
    console = Console(file=io.StringIO(), width=width, color_system="truecolor", force_terminal=True)
    markdown = ChatMarkdown("", hyperlinks=False, code_theme="ansi_dark")
    markdown.parsed = READER.parse(text)
    clean(markdown.parsed)
    end_lines(markdown.parsed)
    tell_once(markdown.parsed)
    lines = console.render_lines(markdown, console.options.update(width=width), pad=False)
    result = Text("\n").join(dropwhile(lambda line: not line, map(unpadded, lines)))
    result.rstrip()
    return Content.from_rich_text(result, console=console)


def unpadded(line: Iterable[Segment]) -> Text:
    """Return a line without the blanks that fill it up to the width: they would be copied with it."""
    text = Text.assemble(*((segment.text, segment.style or "") for segment in Segment.simplify(line)))
    text.rstrip()
    return text


@lru_cache(maxsize=128)
def kept(text: str, width: int) -> Content:
    """Return what `rendered` does, at once for a text that was seen not long ago."""
    return rendered(text, width)


def clean(tokens: Iterable[Token]) -> None:
    """Drop what references such as `&rlm;` stand for, if it could steer a terminal; in code they stand for nothing."""
    for token in tokens:
        token.content = safe_text(token.content)
        clean(token.children or ())


def end_lines(tokens: Iterable[Token]) -> None:
    """Make every end of a line one that is shown: Markdown would fill paragraphs, verses too."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"


def tell_once(tokens: Iterable[Token]) -> None:
    """Make mere text of an address that is a link by itself: Rich puts the address behind every link."""
    for token in tokens:
        token.children = [child for child in token.children or () if child.info != "auto"]

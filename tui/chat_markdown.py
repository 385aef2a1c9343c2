"""Markdown as it is written in chats, laid out for a terminal."""

import io
from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console
from rich.markdown import Markdown as RichMarkdown
from rich.segment import Segment
from rich.text import Text
from textual.content import Content

from tui.safe_text import safe_markdown

READER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""Reads tags as text: nothing here draws HTML, and `vector<int>` is none."""


def rendered(text: str, width: int) -> Content:
    """Return Markdown as it looks at a width, as selectable content."""
    console = Console(file=io.StringIO(), width=width, color_system="truecolor", force_terminal=True)
    markdown = RichMarkdown("", hyperlinks=False, code_theme="ansi_dark")
    markdown.parsed = READER.parse(safe_markdown(text))
    end_lines(markdown.parsed)
    tell_once(markdown.parsed)
    lines = console.render_lines(markdown, console.options.update(width=width), pad=False)
    result = Text()
    for number, line in enumerate(lines):
        if number:
            result.append("\n")
        for segment in Segment.simplify(line):
            result.append(segment.text, segment.style)
    result.rstrip()
    return Content.from_rich_text(result, console=console)


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

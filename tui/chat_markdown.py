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
    result = Text("\n").join(unpadded(line) for line in lines)
    result.rstrip()
    return Content.from_rich_text(result, console=console)


def unpadded(line: Iterable[Segment]) -> Text:
    """Return a line without the blanks that fill it up to the width: they would be copied with it."""
    text = Text.assemble(*((segment.text, segment.style or "") for segment in Segment.simplify(line)))
    text.rstrip()
    return text


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

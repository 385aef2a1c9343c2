"""Markdown as it is written in chats, as live widgets read it and as one settled text."""

import io
from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console
from rich.markdown import Markdown as RichMarkdown
from rich.segment import Segment
from rich.text import Text
from textual.content import Content

from tui.safe_text import safe_markdown


def chat_markdown() -> MarkdownIt:
    """Return a reader of Markdown in which a line ends where the writer ended it, and links tell where they lead."""
    markdown = MarkdownIt("gfm-like")
    markdown.core.ruler.push("line_ends", lambda state: end_lines(state.tokens))
    markdown.core.ruler.push("addresses", lambda state: tell_addresses(state.tokens))
    return markdown


def end_lines(tokens: Iterable[Token]) -> None:
    """Make every end of a line one that is shown: Markdown would fill paragraphs, verses too."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"


def rendered(text: str, width: int) -> Content:
    """Return Markdown as it looks at a width, as selectable content."""
    console = Console(file=io.StringIO(), width=width, color_system="truecolor", force_terminal=True)
    markdown = RichMarkdown(safe_markdown(text), hyperlinks=False, code_theme="ansi_dark")
    end_lines(markdown.parsed)
    lines = console.render_lines(markdown, console.options.update(width=width), pad=False)
    result = Text()
    for number, line in enumerate(lines):
        if number:
            result.append("\n")
        for segment in Segment.simplify(line):
            result.append(segment.text, segment.style)
    result.rstrip()
    return Content.from_rich_text(result, console=console)


def tell_addresses(tokens: Iterable[Token]) -> None:
    """Put the address of a link behind it, where it does not stand there already: nothing opens it on a terminal."""
    for token in tokens:
        if token.children:
            token.children = list(_with_addresses(token.children))


def _with_addresses(children: Iterable[Token]) -> Iterator[Token]:
    address = ""
    for child in children:
        yield child
        if child.type == "link_open":
            address = "" if child.info == "auto" else str(child.attrs["href"])
        elif child.type == "link_close" and address:
            yield Token("text", "", 0, content=f" ({address})")

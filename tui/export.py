"""A conversation as a file: Markdown to read, or, where the name ends in .jsonl, the server's line to train on."""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from chatbot.client import Client, JsonObject, item_text
from tui.safe_text import safe_line, safe_text

LONGEST_NAME = 60


Naming = Callable[[str | None], str]
"""The name that stands before a reply, given who wrote it; None: nobody knows."""


async def export(client: Client, conversation: str, title: str, naming: Naming, file: str) -> Path:
    """Write a conversation of the server's and return where it is; without a name the file has the title's.

    Raises OSError if it cannot be written, FileExistsError among them: nothing is overwritten.
    """
    if file.endswith(".jsonl"):
        text = b"".join([piece async for piece in client.export(conversation)]).decode()
    else:
        text = markdown(title, naming, [item async for item in client.each_item(conversation)])
    return await asyncio.to_thread(_written, file or file_name(title), text)


def file_name(title: str) -> str:
    """Return a title as the name of a Markdown file.

    >>> file_name("What is 1/2 + 1/3?")
    'What is 1 2 + 1 3.md'
    """
    words = re.sub(r"[^\w\s+,'()-]+", " ", title).split()
    return f"{' '.join(words)[:LONGEST_NAME].strip() or 'conversation'}.md"


def markdown(title: str, naming: Naming, items: Sequence[JsonObject]) -> str:
    """Return the messages under the names of who wrote them."""
    names = {"user": "You", "system": "System"}

    def name(item: JsonObject) -> str:
        return names.get(item["role"]) or naming(safe_line(item.get("model") or "") or None)

    turns = [f"**{name(item)}**\n\n{safe_text(item_text(item)).strip()}\n" for item in items]
    return "\n".join([f"# {title or 'Conversation'}\n", *turns])


def _written(file: str, text: str) -> Path:
    """Write a new file, whole or not at all."""
    try:
        path = Path(file).expanduser()
        out = path.open("x", encoding="utf-8")
    except RuntimeError as error:
        raise FileNotFoundError(f"{file!r} is in the home of nobody here; begin it otherwise") from error
    except ValueError as error:
        raise OSError(f"{file!r} can be the name of no file; name another: /export FILE") from error
    except FileExistsError as error:
        raise FileExistsError(f"{path} is there already; name another file: /export FILE") from error
    try:
        with out:
            out.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path.resolve()

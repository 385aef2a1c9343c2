"""The line above a message: the role in words, what is still to come, and which of its versions it is."""

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message as Notice
from textual.style import Style
from textual.widgets import Static

from tui.state import Message, MessageStatus, Versions

REMARKS: dict[MessageStatus, str] = {
    "sending": "sending…",
    "queued": "queued",
    "streaming": "writing…",
}


MARK = "▸ "


def headline(message: Message, speaker: str, *, is_marked: bool = False) -> Content:
    """Return the line; its arrows step to the other versions."""
    if message.role == "note":
        return Content.styled("Note", "dim")
    name = "You" if message.role == "user" else speaker
    line = Content.styled(f"{MARK if is_marked else ''}{name}", "bold")
    remark = message.remark if message.status == "queued" else ""
    if remark := remark or REMARKS.get(message.status, ""):
        line = Content.assemble(line, ("  " + remark, "italic dim"))
    return Content.assemble(line, "  ", *_of_versions(message.versions)) if message.versions else line


def _of_versions(versions: Versions) -> list[Content]:
    count = Content.styled(f" {versions.place + 1}/{len(versions.items)} ", "dim")
    return [_arrow("‹", versions, -1), count, _arrow("›", versions, 1)]


def _arrow(sign: str, versions: Versions, step: int) -> Content:
    if versions.beside(step) is None:
        return Content.styled(sign, "dim")
    return Content.styled(sign, Style.parse("bold") + Style.from_meta({"@click": f"step({step})"}))


class Headline(Static):
    """Shows the line of a message."""

    @dataclass
    class VersionWanted(Notice):
        """The user has clicked on an arrow beside the message with this key."""

        key: str
        step: int

    def __init__(self, message: Message, speaker: str) -> None:
        super().__init__(headline(message, speaker), classes="headline", markup=False)
        self._key = message.key

    def show(self, message: Message, speaker: str, *, is_marked: bool) -> None:
        self._key = message.key
        self.update(headline(message, speaker, is_marked=is_marked))

    def action_step(self, step: int) -> None:
        self.post_message(self.VersionWanted(self._key, step))

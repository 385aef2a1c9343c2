"""Everything one can do, named once: slash commands, keys, palette entries and help all come from this table."""

import difflib
import re
from dataclasses import dataclass

from tui.meant import brief


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to do; the app runs `command_<name>` with what was typed after it."""

    name: str
    help: str
    key: str = ""
    argument: str = ""
    """What may follow, for the help text."""
    aliases: tuple[str, ...] = ()
    is_plain: bool = False
    """Whether plain mode has it too."""
    erases: bool = False
    """Whether it takes something away for good, so that only its whole name means it."""
    takes_lines: bool = False
    """Whether its argument may have several lines."""

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.argument}".rstrip()


COMMANDS = (
    Command("new", "start a new conversation", key="ctrl+n", is_plain=True),
    Command("open", "open the conversation with this title", argument="[TITLE]", is_plain=True),
    Command("search", "find a conversation by what was said", key="ctrl+f", argument="[WORDS]", is_plain=True),
    Command("rename", "rename this conversation", key="ctrl+r", argument="[TITLE]", is_plain=True),
    Command("delete", "delete this conversation", is_plain=True, erases=True),
    Command("persona", "choose who answers", key="ctrl+t", argument="[NAME]", aliases=("model",), is_plain=True),
    Command("retry", "answer my last message anew", aliases=("regenerate",), is_plain=True),
    Command("edit", "change my last message and have it answered", argument="[TEXT]", is_plain=True, takes_lines=True),
    Command("earlier", "go back to what was said before /retry or /edit", key="alt+left", is_plain=True),
    Command("later", "go on to what was said after /retry or /edit", key="alt+right", is_plain=True),
    Command("copy", "copy the last reply, or its n-th code block", key="ctrl+o", argument="[N]"),
    Command("export", "write this chat to a file; to train on, name it .jsonl", argument="[FILE]", is_plain=True),
    Command("stop", "stop the reply that is being written", key="escape"),
    Command("list", "show or hide the list of conversations", key="ctrl+b", is_plain=True),
    Command("help", "show keys and commands", key="f1", is_plain=True),
    Command("quit", "leave; conversations stay on the server", key="ctrl+q", aliases=("exit",), is_plain=True),
)


_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
AS_MESSAGE = "a message that begins with a slash is typed with two"


class UnknownCommand(ValueError):
    """What was typed is no command as it stands; the message proposes the nearest, or says how to send it."""


def find(name: str) -> Command:
    """Return the command with this name or alias, or the only one that begins so."""
    for command in COMMANDS:
        if name == command.name or name in command.aliases:
            return command
    starting = [command for command in COMMANDS if name and command.name.startswith(name)]
    if len(starting) == 1 and not starting[0].erases:
        return starting[0]
    names = [command.name for command in COMMANDS]
    near = [command.name for command in starting[:1]] or difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean /{near[0]}?" if near else f"/help lists them; {AS_MESSAGE}"
    raise UnknownCommand(f"there is no command /{brief(name)}; {hint}")


def trimmed(text: str) -> str:
    """Return what was typed without the blank lines around it; a message keeps the indentation of its first line.

    >>> trimmed("\\n    if x:\\n        y()\\n ")
    '    if x:\\n        y()'
    """
    return _BLANK_LINES.sub("", text.rstrip())


def parse(line: str) -> tuple[Command, str] | None:
    """Split what was typed into command and argument; None if it is a message (`//` sends a leading slash).

    Several lines are a message, unless they begin with the whole name of a command that takes them. What follows a
    command that takes nothing is refused: `/delete Sea` would delete the open chat and not that one.
    """
    line = line.lstrip()
    if not line.startswith("/") or line.startswith("//"):
        return None
    name, argument = re.split(r"\s|$", line[1:], maxsplit=1)
    if "\n" in line and not any(name == command.name and command.takes_lines for command in COMMANDS):
        return None
    command = find(name.lower())
    argument = trimmed(argument) if command.takes_lines else argument.strip()
    if argument and not command.argument:
        raise UnknownCommand(f"/{command.name} takes nothing after it, but got “{brief(argument)}”; {AS_MESSAGE}")
    return command, argument


def message_of(line: str) -> str:
    """Return what to send for a line that is no command; code that begins with a comment keeps both its slashes.

    >>> message_of("//help"), message_of("// a comment\\ncode()")
    ('/help', '// a comment\\ncode()')
    """
    is_code = "\n" in line and parse(line[1:]) is None
    return line[1:] if line.startswith("//") and not is_code else line


def line_of(message: str) -> str:
    """Return what to type to have a message sent as it is.

    >>> line_of("hello"), line_of("/etc/passwd")
    ('hello', '//etc/passwd')
    """
    try:
        is_command = parse(message) is not None
    except UnknownCommand:
        is_command = True
    return f"/{message}" if is_command or message_of(message) != message else message


def matching(line: str) -> tuple[Command, ...]:
    """Return the commands that a half-typed line may become."""
    if not line.startswith("/") or line.startswith("//") or " " in line or "\n" in line:
        return ()
    return tuple(command for command in COMMANDS if command.name.startswith(line[1:].lower()))


def key_label(key: str) -> str:
    """Return a key as people write it: ^N, F1, Esc, Alt+Left."""
    if key.startswith("ctrl+"):
        return f"^{key.removeprefix('ctrl+').upper()}"
    return {"escape": "Esc"}.get(key, "+".join(part.capitalize() for part in key.split("+")))

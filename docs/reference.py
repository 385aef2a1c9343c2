"""Write the reference pages from the code itself: `python -m docs.reference`, or `--check` that they are current."""

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from chatbot.cli.expected import expected
from chatbot.cli.program import app
from chatbot.protocol import errors, events, requests
from chatbot.settings import Settings
from storage.records import Response

FOLDER = Path(__file__).parent / "reference"
HEADER = "<!-- Made by `python -m docs.reference`; change the code, not this page. -->\n"
SETTINGS_INTRO = """\
The first of these that gives a value counts: a flag of `chatbot serve` ({flags}), a variable
(`CHATBOT_PORT`), `./chatbot.toml`, the user's file (Linux: `~/.config/chatbot/chatbot.toml`), the default.
A list is `["a", "b"]` in a file and `a,b` in a variable. A `chatbot.toml` is, for example:

```toml
model = "Qwen/Qwen3-0.6B"
context_tokens = 4096
allow_origin = ["http://localhost:3000"]
```
"""
FRAME = """\
A frame is a JSON object with its `type` and these fields. It may have an `event_id`, which comes back in an `error`,
and a `stream_id`, which comes back in all that answers it. Over HTTP the fields of `response.create` are the body."""


def cli_page() -> str:
    """Return the page of every command and its options."""
    return "\n".join([HEADER, "# Commands", *_commands((), typer.main.get_command(app))]) + "\n"


def settings_page() -> str:
    """Return the page of every setting."""
    rows = [
        f"| `{name}` | `{json.dumps(field.default, default=str)}` | {expected(name)} | {_line(field.description)} |"
        for name, field in Settings.model_fields.items()
    ]
    table = ["| name | default | may be | what it is |", "|---|---|---|---|", *rows]
    return "\n".join([HEADER, "# Settings", "", SETTINGS_INTRO.format(flags=_flags()), *table]) + "\n"


def events_page() -> str:
    """Return the page of what goes over the WebSocket, both ways."""
    lines = [HEADER, "# Events of `/v1/responses`", "", "## From the client", "", FRAME, ""]
    for name, model in requests.CLIENT_EVENTS.items():
        lines += [f"### `{name}`", "", *_fields(model), ""]
    lines += ["## From the server", "", "One reply, as it is streamed:", "", "```json"]
    lines += [json.dumps(event) for event in events.replay(_example(), -1)]
    lines += ["```", "", *_notices(), "", "## Errors", "", "| type | status |", "|---|---|"]
    kinds = sorted(errors.ProtocolError.__subclasses__(), key=lambda kind: kind.status)
    lines += [f"| `{kind.type}` ({kind.__name__}) | {kind.status} |" for kind in kinds]
    return "\n".join(lines) + "\n"


PAGES = {"cli.md": cli_page, "settings.md": settings_page, "events.md": events_page}


def main() -> int:
    """Write every page, or tell which ones are not current."""
    stale = [name for name, make in PAGES.items() if _read(FOLDER / name) != make()]
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/reference/{name} is not current; run: make reference", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        (FOLDER / name).write_text(PAGES[name]())
    return 0


def _commands(words: tuple[str, ...], command: Any) -> Iterator[str]:
    """Yield the help of a command and of those below it (typer's own click has no public types)."""
    shown = CliRunner().invoke(app, [*words, "--help"], prog_name="chatbot", env={"COLUMNS": "100"})
    yield from ["", f"## `{' '.join(('chatbot', *words))}`", "", "```", shown.output.strip(), "```"]
    for name in sorted(getattr(command, "commands", {})):
        yield from _commands((*words, name), command.commands[name])


def _flags() -> str:
    """Return the settings that are options of `chatbot serve`."""
    options: Any = typer.main.get_command(app)
    names = [option.name for option in options.commands["serve"].params]
    return ", ".join(f"`{name}`" for name in names if name in Settings.model_fields)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    if not model.model_fields:
        yield "No fields of its own."
        return
    yield "| field | type | may be | what it is |"
    yield "|---|---|---|---|"
    schema = model.model_json_schema()
    required, documented = schema.get("required", []), _documented(model)
    for name, described in schema["properties"].items():
        kinds = described.get("anyOf", [described])
        names = [kind.get("type", "object") for kind in kinds]
        shown = " or ".join(name for name in names if name != "null")
        told = ["required"] if name in required else [text for kind in kinds if (text := _range(kind))]
        yield f"| `{name}` | {shown} | {', '.join(told)} | {_line(documented.get(name))} |"


def _documented(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a request's fields, read from its source: the server has no use for them."""
    own = [kind for kind in reversed(model.__mro__) if kind.__module__ == requests.__name__]
    found = {}
    for body in (ast.parse(inspect.getsource(kind)).body[0] for kind in own):
        for pair in pairwise(ast.iter_child_nodes(body)):
            match pair:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = text
    return found


def _range(kind: dict[str, Any]) -> str:
    """Return the numbers, or how much, a type takes, or nothing if that is all there is."""
    match kind:
        case {"maxLength": most}:
            return f"up to {most} characters"
        case {"maxItems": most}:
            return f"up to {most}"
        case {"minimum": low, "maximum": high}:
            return f"{low} to {high}"
        case {"minimum": low}:
            return f"from {low}"
    return ""


def _notices() -> list[str]:
    return [
        "Beside the numbered events of a reply, these may come. A client can ignore those that begin with `chatbot:`.",
        "An `error` is the only answer to a frame that is refused: no reply follows it.",
        "",
        "- `chatbot:queued {response_id, position, waits_for}`: how many turns are ahead in the same conversation, and",
        "  whether it waits for those (`turns`) or for the `model`, which is being loaded.",
        "- `chatbot:context {response_id, context}`: which messages the model sees, and how many tokens they are.",
        "- `chatbot:conversation.subscribed {conversation}`: later changes and replies will be sent; read its items",
        "  now.",
        "- `chatbot:conversation.unsubscribed {conversation}`: no more of it is sent.",
        "- `chatbot:conversations.watched`: all later changes will be sent; read the list now.",
        "- `chatbot:conversation.updated {conversation, running_response_id}`: a conversation is new or has changed.",
        "- `chatbot:conversation.deleted {conversation}`: it is gone.",
        "- `error {status, error, event_id?, stream_id?}`: what was wrong with a frame; the connection lives on.",
    ]


def _example() -> Response:
    return Response(
        id="resp_1",
        conversation_id="conv_1",
        previous_response_id=None,
        input_item_ids=("msg_1",),
        output_item_id="msg_2",
        model="pirate",
        request={},
        state="completed",
        created_at=1790000000,
        completed_at=1790000001,
        text="Ahoy!",
        delta_lengths=(4, 1),
        usage={"prompt_tokens": 12, "cached_tokens": 0, "completion_tokens": 3},
    )


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())

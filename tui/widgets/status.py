"""The bottom line: who answers, how full the context is, how fast text comes, how the connection is."""

from collections.abc import Iterator

from textual.content import Content
from textual.widgets import Static

from tui.state import ContextUse, State

GAUGE_CELLS = 8
WARNING_SHARE = 0.8
LEFT_OUT = ("pace", "dropped", "speaker")
"""What a line that is too long does without, the first of these first."""

CONNECTION = {"idle": "connecting…", "connecting": "connecting…", "live": "live"}
OFFLINE = "offline"


class StatusLine(Static):
    """Draws `status_text` at its own width."""

    def __init__(self) -> None:
        super().__init__(id="status", markup=False)
        self._state = State()

    def show(self, state: State) -> None:
        self._state = state
        text = status_text(state, self.size.width or 100)
        if text != self.content:
            self.update(text)

    def on_resize(self) -> None:
        self.show(self._state)


def status_text(state: State, width: int) -> Content:
    """Return the line, with as much of it as so many columns hold."""
    parts = dict(_parts(state))
    for name in ("", *LEFT_OUT):
        parts.pop(name, None)
        separated = [part for entry in parts.values() for part in ((" · ", "dim"), entry)][1:]
        line = Content.assemble(*separated)
        if line.cell_length <= width:
            break
    return line


def _parts(state: State) -> Iterator[tuple[str, Content | tuple[str, str]]]:
    """Yield what there is to tell, each with its name and its style."""
    chat = state.chat
    if speaker := state.persona or _base_name(state):
        yield "speaker", (speaker, "bold")
    if chat and chat.context:
        yield "context", gauge(chat.context)
        if chat.context.dropped:
            yield "dropped", (_left_out(chat.context), "")
    if chat and chat.pace and chat.pace.tokens_per_s:
        yield "pace", (f"{chat.pace.tokens_per_s:.0f} tok/s", "")
    if chat and chat.open_reply and chat.open_reply.response_id:
        yield "stop", ("Esc stops", "italic")
    connection = CONNECTION.get(state.connection, OFFLINE)
    if connection != OFFLINE and not state.was_live:
        connection = "starting…"
    yield "connection", (connection, "$success" if state.connection == "live" else "$warning")


def _left_out(use: ContextUse) -> str:
    """Tell how many messages the model did not see, and how many of those it was reminded of."""
    recalled = f", {use.recalled} recalled" if use.recalled else ""
    return f"{use.dropped} older not seen by the model{recalled}"


def gauge(use: ContextUse) -> Content:
    """Return how full the model's context is; it warns from four fifths on."""
    filled = round(use.share * GAUGE_CELLS)
    bar = "▓" * filled + "░" * (GAUGE_CELLS - filled)
    style = "$warning" if use.share >= WARNING_SHARE else ""
    return Content.assemble("context ", (bar, style), f" {use.tokens}/{use.budget_tokens}")


def _base_name(state: State) -> str:
    return next((model.id for model in state.models if not model.is_persona), "")

"""The bottom line: who answers, how full the context is, how fast text comes, how the connection is."""

from textual.content import Content
from textual.widgets import Static

from tui.state import ContextUse, State

GAUGE_CELLS = 8
NARROW_COLUMNS = 60
WARNING_SHARE = 0.8

CONNECTION = {"idle": "connecting…", "connecting": "connecting…", "live": "live", "lost": "offline"}


class StatusLine(Static):
    """Draws `status_text` at its own width."""

    def __init__(self) -> None:
        super().__init__(id="status", markup=False)

    def show(self, state: State) -> None:
        text = status_text(state, self.size.width or 100)
        if text != self.content:
            self.update(text)


def status_text(state: State, width: int) -> Content:
    """Return the line; below 60 columns only what matters most."""
    chat = state.chat
    parts: list[Content | tuple[str, str]] = []
    if width >= NARROW_COLUMNS:
        parts.append((state.persona or _base_name(state), "bold"))
    if chat and chat.context:
        parts.append(gauge(chat.context))
        if chat.context.dropped and width >= NARROW_COLUMNS:
            parts.append((f"{chat.context.dropped} older not seen by the model", ""))
    if chat and chat.pace and chat.pace.tokens_per_s and width >= NARROW_COLUMNS:
        parts.append((f"{chat.pace.tokens_per_s:.0f} tok/s", ""))
    if chat and chat.open_reply and chat.open_reply.response_id:
        parts.append(("Esc stops", "italic"))
    is_live = state.connection == "live"
    is_starting = state.connection != "lost" and not state.was_live
    connection = "starting…" if is_starting else CONNECTION[state.connection]
    parts.append((connection, "$success" if is_live else "$warning"))
    separated = [part for entry in parts for part in ((" · ", "dim"), entry)][1:]
    return Content.assemble(*separated)


def gauge(use: ContextUse) -> Content:
    """Return how full the model's context is; it warns from four fifths on."""
    filled = round(use.share * GAUGE_CELLS)
    bar = "▓" * filled + "░" * (GAUGE_CELLS - filled)
    style = "$warning" if use.share >= WARNING_SHARE else ""
    return Content.assemble("context ", (bar, style), f" {use.tokens}/{use.budget_tokens}")


def _base_name(state: State) -> str:
    return next((model.id for model in state.models if not model.is_persona), "")

"""The chats of a run: those to learn from and those that are held out to measure with, as tokens."""

import hashlib
from dataclasses import dataclass

from adapters.counted import counted
from adapters.labels import Labelled, Labeller
from adapters.plan import held_out
from adapters.progress import Reporter
from adapters.validate import ChatData, Row
from chatbot.engine.base import ChatMessage


@dataclass(frozen=True, slots=True)
class Chats:
    """What a run learns from and is measured with."""

    data: ChatData
    training: Labelled
    validation: Labelled
    known: int
    """Chats given to validate on that are learned from, and therefore not held out."""

    @property
    def cut(self) -> int:
        return self.training.cut + self.validation.cut

    @property
    def dropped(self) -> int:
        return self.training.dropped + self.validation.dropped

    def figures(self) -> dict[str, int]:
        """Return how many chats and tokens there are, for programs."""
        examples = self.training.examples
        return {
            "chats": len(examples),
            "held_out": len(self.validation.examples),
            "known": self.known,
            "duplicates": self.data.duplicates,
            "cut": self.cut,
            "dropped": self.dropped,
            "tokens": sum(len(example.ids) for example in examples),
            "learned_tokens": sum(sum(example.is_label) for example in examples),
        }

    def told(self) -> str:
        """Return the figures in words."""
        figures = self.figures()
        lost = {
            "duplicates": "said twice and dropped",
            "known": "of --val not held out, for they are learned from",
            "cut": "too long and cut",
            "dropped": "too long and dropped",
        }
        said = ", ".join(f"{figures[key]} {what}" for key, what in lost.items() if figures[key])
        return (
            f"{counted(figures['chats'], 'chat')} to learn from, {figures['held_out']} held out"
            f"{f' ({said})' if said else ''}; {counted(figures['tokens'], 'token')}, "
            f"{figures['learned_tokens']} of them the assistant's"
        )

    def note(self, system: str | None) -> str | None:
        """Return what is doubtful about these chats for a persona with this system prompt."""
        if any(row.system in (None, system) for row in self.data.rows):
            return None
        if system:
            return "every chat has a system message other than the persona's, which is the one that the server sends"
        return "every chat has a system message of its own, and the server sends none (give one of them as --system)"


def read_chats(
    data: ChatData,
    validation: ChatData | None,
    system: str | None,
    labeller: Labeller,
    max_tokens: int,
    report: Reporter,
) -> Chats:
    """Return the chats of these data, a tenth of them held out unless there are some to validate on.

    Raises CannotTrain.
    """
    rows, known = list(data.rows), 0
    if validation is not None:
        learned = {row.messages for row in rows}
        kept = [row for row in validation.rows if row.messages not in learned]
        known = len(validation.rows) - len(kept)
    else:
        chosen = held_out([_key(row) for row in rows])
        kept = [row for index, row in enumerate(rows) if index in chosen]
        rows = [row for index, row in enumerate(rows) if index not in chosen]
    with report.counting("tokenizing", len(rows) + len(kept)) as on_chat:
        training = labeller.label_all([with_system(row, system) for row in rows], max_tokens, on_chat)
        held = labeller.label_all([with_system(row, system) for row in kept], max_tokens, on_chat)
    return Chats(data, training, held, known)


def with_system(row: Row, system: str | None) -> tuple[ChatMessage, ...]:
    """Return a row's messages, with the persona's system message where it has none: the server will send it."""
    if row.system is not None or not system:
        return row.messages
    return (ChatMessage("system", system), *row.messages)


def _key(row: Row) -> bytes:
    return hashlib.sha256("\0".join(f"{m.role}\0{m.text}" for m in row.messages).encode()).digest()

"""The chats of a run: those to learn from and those that are held out to measure with, as tokens."""

import hashlib
from collections.abc import Sequence
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
    distinct: int
    """Chats of the data that differ once each has the system message it is learned with."""
    known: int
    """Chats given to validate on that are learned from, and therefore not held out."""

    @property
    def duplicates(self) -> int:
        return len(self.data.rows) + self.data.duplicates - self.distinct

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
            "duplicates": self.duplicates,
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
    found = _distinct(data.rows, system)
    if validation is not None:
        given = _distinct(validation.rows, system)
        kept = [chat for chat in given if chat not in found]
        learned, known = list(found), len(given) - len(kept)
    else:
        chosen = held_out([_key(row) for row in found.values()])
        kept = [chat for index, chat in enumerate(found) if index in chosen]
        learned, known = [chat for index, chat in enumerate(found) if index not in chosen], 0
    with report.counting("tokenizing", len(learned) + len(kept)) as on_chat:
        training = labeller.label_all(learned, max_tokens, on_chat)
        held = labeller.label_all(kept, max_tokens, on_chat)
    return Chats(data, training, held, len(found), known)


def _distinct(rows: Sequence[Row], system: str | None) -> dict[tuple[ChatMessage, ...], Row]:
    """Return each chat as it is learned, once, with the first row that says it: with the system message or without."""
    found: dict[tuple[ChatMessage, ...], Row] = {}
    for row in rows:
        found.setdefault(with_system(row, system), row)
    return found


def with_system(row: Row, system: str | None) -> tuple[ChatMessage, ...]:
    """Return a row's messages, with the persona's system message where it has none: the server will send it."""
    if row.system is not None or not system:
        return row.messages
    return (ChatMessage("system", system), *row.messages)


def _key(row: Row) -> bytes:
    return hashlib.sha256("\0".join(f"{m.role}\0{m.text}" for m in row.messages).encode()).digest()

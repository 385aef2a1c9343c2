"""Drafts for the rows of a decode step: what each conversation suggests, cut to what is worth its measured time.

The invariant: a draft never changes a reply. It ends before a token that would end the reply, and leaves room for the
token that is drawn after it.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from chatbot.engine.acceptance import Foresight
from chatbot.engine.prompt_lookup import PromptLookup
from chatbot.engine.speculation import MOST_DRAFTED, Prospect, share_drafts
from chatbot.engine.step_cost import StepCost

ROWS_PER_REST, MOST_REST = 4, 8
"""After a step without drafts, they are looked for again after so many steps for each so many rows: looking takes 3 µs
a row, and is seldom worth it with many."""
STEPS_AFTER_FAILURE = 64


class Drafter:
    """What drafting has to remember of one reply."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._lookup = PromptLookup(prompt)
        self._foresight = Foresight()
        self._followed = 0

    @property
    def chance(self) -> float:
        """Probability that the next expected token is the right one."""
        return self._foresight.chance

    def follow(self, reply: Sequence[int]) -> bool:
        """Take in what came since the last call and return whether there is a draft."""
        for token in reply[self._followed :]:
            was_right = self._lookup.push(token)
            if was_right is not None:
                self._foresight.learn(was_right)
        self._followed = len(reply)
        return self._lookup.expects

    def draft(self, most: int, end_ids: frozenset[int]) -> list[int]:
        """Return at most so many tokens that may come next, none of them one that ends a reply."""
        found = self._lookup.draft(most)
        if end_ids.isdisjoint(found):
            return found
        return found[: next(i for i, token in enumerate(found) if token in end_ids)]


class Speaker(Protocol):
    """A row that decodes."""

    prompt: list[int]
    reply: list[int]
    max_tokens: int
    drafter: Drafter | None


SpeakerT = TypeVar("SpeakerT", bound=Speaker)


class Drafting:
    """Gives drafts to the rows of one engine."""

    def __init__(self, end_ids: frozenset[int]) -> None:
        self._end_ids = end_ids
        self._cost = StepCost()
        self._rest = 0
        """Steps before drafts are looked for again."""

    def drafts(self, rows: Sequence[SpeakerT]) -> dict[SpeakerT, list[int]]:
        """Return the drafts to verify in the coming step of these rows; rows without one are left out."""
        if self._rest:
            self._rest -= 1
            return {}
        found = [(row, draft) for row in rows if (draft := self._suggested(row))]
        drafts = self._worth_it(found, len(rows)) if found and self._cost.is_known(len(rows)) else {}
        if not drafts:
            self._rest = min(len(rows) // ROWS_PER_REST, MOST_REST)
        return drafts

    def note(self, rows: int, drafted: int, seconds: float) -> None:
        """Learn from a decode step of so many rows and drafted tokens how long such steps take."""
        self._cost.note(rows, drafted, seconds)

    def pause(self) -> None:
        """Give no drafts for a while, after a step with some has failed."""
        self._rest = STEPS_AFTER_FAILURE

    def _worth_it(self, found: Sequence[tuple[SpeakerT, list[int]]], rows: int) -> dict[SpeakerT, list[int]]:
        prospects = [Prospect(len(draft), _drafter(row).chance) for row, draft in found]
        lengths = share_drafts(prospects, rows, lambda drafted: self._cost.ratio(rows, drafted))
        return {row: draft[:length] for (row, draft), length in zip(found, lengths, strict=True) if length}

    def _suggested(self, row: Speaker) -> list[int]:
        """Return the draft of a row, empty if it has none."""
        drafter = _drafter(row)
        if not drafter.follow(row.reply):
            return []
        return drafter.draft(min(MOST_DRAFTED, row.max_tokens - len(row.reply) - 1), self._end_ids)


def _drafter(row: Speaker) -> Drafter:
    if row.drafter is None:
        row.drafter = Drafter(row.prompt)
    return row.drafter

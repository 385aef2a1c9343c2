"""An engine that verifies drafts in every step, right or wrong, worth it or not: the hardest case for equal replies."""

from collections.abc import Sequence

from chatbot.engine.drafting import Drafting, SpeakerT
from chatbot.engine.local import LocalEngine


class EagerDrafting(Drafting):
    """Gives each row all that it could get: true tokens before a wrong one where the reply is known, else a guess."""

    def __init__(self, end_ids: frozenset[int]) -> None:
        super().__init__(end_ids)
        self.drafted = 0
        self.known: list[list[int]] = []
        """Prompts with their replies."""

    def drafts(self, rows: Sequence[SpeakerT]) -> dict[SpeakerT, list[int]]:
        found = {row: self._foreseen(row) or self._suggested(row) or _nonsense(row, 3) for row in rows}
        self.drafted += sum(map(len, found.values()))
        return {row: draft for row, draft in found.items() if draft}

    def _foreseen(self, row: SpeakerT) -> list[int]:
        so_far = [*row.prompt, *row.reply]
        coming = next((one[len(so_far) :] for one in self.known if one[: len(so_far)] == so_far), [])
        return [*coming[: len(row.reply) % 5], *_nonsense(row, 1)][: _room(row)] if coming else []


def _nonsense(row: SpeakerT, most: int) -> list[int]:
    return [(row.reply[-1] * 7 + i) % 250 for i in range(min(most, _room(row)))]


def _room(row: SpeakerT) -> int:
    return row.max_tokens - len(row.reply) - 1


def draft_always(engine: LocalEngine) -> EagerDrafting:
    """Make a started engine draft in every step."""
    forward = engine._running().worker._forward
    assert forward.drafting is not None
    forward.drafting = EagerDrafting(forward.drafting._end_ids)
    return forward.drafting

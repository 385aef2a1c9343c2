"""Batches given more than once, for a device that learns faster than batches can be made.

`BLOCK` batches come one after the other, then the same ones again, then the next `BLOCK`. Which batch a step gets
depends on the step alone, so a resumed run sees what an unbroken one would have seen.
"""

from __future__ import annotations

from adapters.recipes.base.mixture import Stage
from adapters.recipes.base.prefetch import Batches
from adapters.recipes.base.rows import Batch

BLOCK = 32


class Repeated:
    """The batches of another source, each `passes` times."""

    def __init__(self, batches: Batches, passes: int) -> None:
        self._batches = batches
        self._passes = passes
        self._kept: dict[tuple[Stage, int, bool], Batch] = {}

    def batch(self, stage: Stage, step: int, *, is_late: bool = False) -> Batch:
        """The batch of this step."""
        block, within = divmod(step, BLOCK * self._passes)
        key = (stage, block * BLOCK + within % BLOCK, is_late)
        if key not in self._kept:
            if within % BLOCK == 0:
                self._kept.clear()
            self._kept[key] = self._batches.batch(stage, key[1], is_late=is_late)
        return self._kept[key]

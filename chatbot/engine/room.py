"""How many generations an engine takes at once. Who has a place is never refused later. Used from one event loop."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from chatbot.engine.base import EngineBusy


class Room:
    """A place for each generation that runs, waits, or is about to ask."""

    def __init__(self, slots: int, max_waiting: int) -> None:
        self._slots = slots
        self._max_waiting = max_waiting
        self._held: Counter[str | None] = Counter()

    @contextmanager
    def place(self, user: str | None) -> Iterator[None]:
        """Hold a place inside the block. Raises EngineBusy if there is none.

        Those who hold none yet find twice as many to wait in, so that the crowd of one user shuts nobody else out.
        """
        held = self._held.total()
        if held >= self._slots + (self._max_waiting if self._held[user] else 2 * self._max_waiting):
            raise EngineBusy(f"{held} generations are waiting or running already; try again later")
        self._held[user] += 1
        try:
            yield
        finally:
            self._held -= Counter([user])  # drops users who hold none any more

"""Long pieces of what is being written, each shown as a mark of a few words: an editor slows down with every character.

A mark stands for its piece until the message is sent, so that nothing is lost, and it is never cut in two.
"""

import re

LONGEST = 10_000
"""Characters that are shown as they are; twenty times as many would take the editor seconds for a key."""
SHORTEST = 200
"""Characters of what is not folded wherever it stands: somebody typed it, or its mark would hardly be shorter."""

_MARK = re.compile(r"\[long text \d+: [\d,]+ characters in [\d,]+ lines\]")


class Folds:
    """What was folded, by its mark."""

    def __init__(self) -> None:
        self._pieces: dict[str, str] = {}

    def folded(self, text: str, beside: int = 0) -> str:
        """Return a text, or the mark that stands for it if with so many characters beside it there are too many."""
        if len(text) <= SHORTEST or beside + len(text) <= LONGEST:
            return text
        piece = self.unfolded(text.replace("\r\n", "\n").replace("\r", "\n"))
        lines = piece.count("\n") + 1
        mark = f"[long text {len(self._pieces) + 1}: {len(piece):,} characters in {lines:,} lines]"
        self._pieces[mark] = piece
        return mark

    def unfolded(self, text: str) -> str:
        """Return a text in full."""
        return _MARK.sub(lambda mark: self._pieces.get(mark[0], mark[0]), text)

    def around(self, line: str, column: int) -> tuple[int, int]:
        """Return where the mark begins and ends that a place in a line is within, or the place twice."""
        for mark in _MARK.finditer(line):
            if mark[0] in self._pieces and mark.start() < column < mark.end():
                return mark.span()
        return column, column

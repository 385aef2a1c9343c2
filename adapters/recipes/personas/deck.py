"""Hand-written lines by key, dealt so that none of them wears out."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path


class Deck:
    """Lines of a file: "= key" begins the lines of a key, # begins a comment."""

    def __init__(self, path: Path) -> None:
        self.lines: dict[str, list[str]] = {}
        self._dealt: Counter[str] = Counter()
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("= "):
                of_key = self.lines.setdefault(line[2:], [])
            elif line and not line.startswith("#"):
                of_key.append(line)

    def __contains__(self, key: str) -> bool:
        return key in self.lines

    def deal(self, key: str, rng: random.Random, fits: Callable[[str], bool] = lambda line: True) -> str:
        """Return one of the lines of the key that fit, among those that came least; empty where none fits."""
        fitting = [line for line in self.lines[key] if fits(line)]
        fewest = min((self._dealt[line] for line in fitting), default=0)
        line = rng.choice([line for line in fitting if self._dealt[line] == fewest] or [""])
        self._dealt[line] += 1
        return line

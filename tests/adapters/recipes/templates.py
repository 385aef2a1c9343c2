"""Templates of the text grammar with every choice made."""

from __future__ import annotations

import re

CHOICE = re.compile(r"\[([^\[\]]*)\]")


def choices(template: str) -> set[str]:
    """Every text that the choices of a template allow; slots stay."""
    found = CHOICE.search(template)
    if not found:
        return {template}
    texts = (template[: found.start()] + choice + template[found.end() :] for choice in found[1].split("|"))
    return set[str]().union(*map(choices, texts))

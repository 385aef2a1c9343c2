"""A very small text grammar: `[hi|hello|]` chooses, `{food}` takes a slot value. Pure and seeded.

Invariant: the same template, slots and random state always give the same text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

Fill = Callable[[str], str]

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([^{}]+)\}")
_SPACES = re.compile(r" {2,}")
_BEFORE_STOP = re.compile(r" +([,.!?;:])")
_ARTICLE = re.compile(
    r"\b(a|(?<!\w )A) (?!(?:and|are|as|at|if|in|is|of|on|one|once|or)\b(?!-)|eu|one-|once-)"
    r"(?=[aeio]|u(?!ni|se|ku)|8|1[18](?!\d))",
    re.IGNORECASE,
)
"""An article that wants an n; a capital A within a sentence, or one before "and" or "in", is a letter."""
_SENTENCE_START = re.compile(r"(^|[.!?]\s+|\n)([a-z])")


def choose(template: str, rng: random.Random) -> str:
    """Resolve every `[a|b]` of a template, innermost first, and leave the slots."""
    while match := _INNERMOST.search(template):
        choice = rng.choice(match.group(1).split("|"))
        template = template[: match.start()] + choice + template[match.end() :]
    return tidy(template)


def slots_of(template: str) -> set[str]:
    """The slot names that any choice of this template could ask for."""
    return set(_SLOT.findall(template))


def expand(template: str, rng: random.Random, fill: Fill) -> str:
    """One sentence of the grammar: choices resolved, slots filled, articles and spaces put right."""
    text = choose(template, rng) if "[" in template else template
    if "{" in text:
        text = _SLOT.sub(lambda match: fill(match.group(1)), text)
    return tidy(with_articles(text))


def with_articles(text: str) -> str:
    """The text with "an" in place of "a" where the next word asks for it: "an owl", "an 8"."""
    return _ARTICLE.sub(r"\1n ", text)


def tidy(text: str) -> str:
    """Remove the gaps that empty choices leave behind."""
    return _BEFORE_STOP.sub(r"\1", _SPACES.sub(" ", text)).strip()


def sentence_case(text: str) -> str:
    """Begin every sentence with a capital letter."""
    return _SENTENCE_START.sub(lambda match: match.group(1) + match.group(2).upper(), text)

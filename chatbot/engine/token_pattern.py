"""A pattern that finds tokens in a text in about the same time, however many there are: some models have thousands."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from chatbot.engine.slots import common_prefix


def token_pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    """Return what finds the longest of the tokens at each place; nothing, if there are none.

    >>> token_pattern(["<a>", "<a>b", "<c>"]).findall("<a>bc<c>")
    ['<a>b', '<c>']
    """
    found = sorted(set(tokens))
    return re.compile(_one_of(found) if found else "(?!)")


def _one_of(tokens: Sequence[str]) -> str:
    """Return a pattern of sorted tokens in which those that begin alike share their beginning."""
    shared = tokens[0][: common_prefix(tokens[0], tokens[-1])]
    rests = [token[len(shared) :] for token in tokens if token != shared]
    if not rests:
        return re.escape(shared)
    branches = "|".join(_one_of(list(alike)) for _, alike in groupby(rests, key=itemgetter(0)))
    return f"{re.escape(shared)}(?:{branches}){'?' if tokens[0] == shared else ''}"

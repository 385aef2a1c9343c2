"""Which edition of the program this is: of two, the later one serves."""

import re
from functools import cache

from chatbot import __version__
from chatbot.settings import PACKAGE

PACKAGES = ("adapters", "chatbot", "storage", "tui")


@cache
def edition() -> tuple[int, ...]:
    """Return the numbers of the version, and the second in which its code was last changed, as by `git pull`."""
    files = (file for package in PACKAGES for file in (PACKAGE.parent / package).rglob("*.py"))
    changed_s = max((int(file.lstat().st_mtime) for file in files), default=0)  # an editor may leave links to nothing
    return (*map(int, re.findall(r"\d+", __version__)), changed_s)

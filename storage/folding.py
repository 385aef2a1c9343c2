"""Text without what does not count in a search: capitals, and how a letter is encoded."""

import unicodedata


def fold(text: str) -> str:
    """Return the text as all its spellings are.

    >>> fold("ÉCOLE") == fold("E\\u0301cole") == "école"
    True
    """
    return unicodedata.normalize("NFKC", text).casefold()


def fold_stored(text: bytes | None) -> str | None:
    """Return a text of the database the same way, whatever its bytes are; what SQL calls `fold`."""
    return None if text is None else fold(str(text, "utf-8", "replace"))

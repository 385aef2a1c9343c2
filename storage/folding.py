"""Text without what does not count in a search: capitals, and how a letter is encoded.

The Turkish i has a dot or none, and keeps that as a capital: I stands for the one or the other, so both are one here.
"""

import unicodedata


def fold(text: str) -> str:
    """Return the text as all its spellings are.

    >>> fold("ÉCOLE") == fold("E\\u0301cole") == "école"
    True
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("i\u0307", "i").replace("\u0131", "i")
    return unicodedata.normalize("NFKC", folded)  # folding takes some letters apart, such as a Greek one of two accents


def fold_stored(text: bytes | None) -> str | None:
    """Return a text of the database the same way, whatever its bytes are; what SQL calls `fold`."""
    return None if text is None else fold(str(text, "utf-8", "replace"))

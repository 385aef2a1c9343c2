"""What a model or a peer wrote, made harmless for a terminal. Works per character, so streamed chunks need no state.

Dropped: control characters other than newline and tab (no escape sequence survives), direction overrides that
could make text read as something else, invisible tag characters and lone surrogates (which no terminal can encode).
"""

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi controls
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # separators and annotations that terminals handle unevenly
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def safe_text(text: str) -> str:
    """Return the text without characters that could steer a terminal."""
    return _UNSAFE.sub("", text)


def safe_line(text: str) -> str:
    """Return the text as one safe line, for titles and names."""
    return " ".join(safe_text(text).split())

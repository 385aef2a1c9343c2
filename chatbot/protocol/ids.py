"""Ids: a prefix that names the kind and 128 random bits. They are names, never the guard of anything."""

import re
import secrets

_ID = re.compile(r"^(conv|resp|msg)_[0-9a-f]{32}$")


def new_id(kind: str) -> str:
    """Return a fresh id such as `conv_…`."""
    return f"{kind}_{secrets.token_hex(16)}"


def is_id(kind: str, value: str) -> bool:
    """Tell whether the value has the form of our ids of this kind."""
    match = _ID.match(value)
    return match is not None and match[1] == kind

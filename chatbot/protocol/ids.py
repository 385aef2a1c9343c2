"""Ids: a prefix that names the kind and 128 random bits. They are names, never the guard of anything."""

import secrets


def new_id(kind: str) -> str:
    """Return a fresh id such as `conv_…`."""
    return f"{kind}_{secrets.token_hex(16)}"

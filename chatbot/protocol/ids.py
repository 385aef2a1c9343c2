"""Ids: a prefix that names the kind and 128 random bits. They are names, never the guard of anything."""

import hashlib
import secrets


def new_id(kind: str) -> str:
    """Return a fresh id such as `conv_…`."""
    return f"{kind}_{secrets.token_hex(16)}"


def id_under_key(kind: str, key: str) -> str:
    """Return the id of what is made under an idempotency key, the same each time."""
    return f"{kind}_{hashlib.sha256(key.encode()).hexdigest()[:32]}"

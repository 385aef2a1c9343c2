"""What is kept of an idempotency key and the request it came with: enough to know both again, not to learn either.

The plain hash of a request tells a short message to whoever has the database and guesses, even when the message was
deleted or never to be stored. So the hash is made with the key, and of the key too only a hash is kept. This protects
as well as keys are random: whoever can guess the key can guess the message as before.
"""

import hashlib
import hmac


def key_sha256(key: str) -> str:
    """Return what stands for a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def sealed_body(key: str, body_sha256: str) -> str:
    """Return what stands for a request that came with this key."""
    return hmac.new(key.encode(), body_sha256.encode(), hashlib.sha256).hexdigest()

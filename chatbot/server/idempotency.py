"""The key by which a request that is sent again is known, so that it is done once."""

from chatbot.protocol.errors import InvalidRequest

HEADER = "idempotency-key"
MAX_KEY_CHARS = 255


def idempotency_key(*given: str | None) -> str | None:
    """Return the first key that was given at all. Raises InvalidRequest where it is empty or too long."""
    key = next((key for key in given if key is not None), None)
    if key is not None and not 0 < len(key) <= MAX_KEY_CHARS:
        message = f"idempotency_key: expected 1 to {MAX_KEY_CHARS} characters, got {len(key)}"
        raise InvalidRequest("invalid_parameter", message, "idempotency_key")
    return key

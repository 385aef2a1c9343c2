"""Numbers with what they count, as people write them."""


def counted(number: int, thing: str) -> str:
    """Return `1 chat`, `2 chats`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"

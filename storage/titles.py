"""The title of a conversation that nobody named: how its first message begins."""

TITLE_CHARS = 48


def title_of(text: str) -> str:
    """The first words of a text, at most 48 characters; a longer first word is cut."""
    title = ""
    for word in text.replace("\0", " ").split():
        longer = f"{title} {word}" if title else word
        if len(longer) > TITLE_CHARS:
            return title or word[:TITLE_CHARS]
        title = longer
    return title

"""The day on which something was said, by this machine's time zone."""

from datetime import date

from chatbot.protocol.archive import in_seconds


def day_of(created_at: int) -> date:
    """Return the day of a time since 1970; earlier versions stored times as they were imported, in whatever unit."""
    return date.fromtimestamp(in_seconds(created_at))

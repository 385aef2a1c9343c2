"""The day on which something was said, by this machine's time zone."""

from datetime import date

from chatbot.protocol.archive import TIME_END_S


def day_of(created_at: int) -> date:
    """Return the day of a time in unix seconds.

    Earlier versions took times in milliseconds and finer from imports: what is beyond every calendar is such a one.
    """
    while created_at >= TIME_END_S:
        created_at //= 1000
    return date.fromtimestamp(created_at)

"""Callbacks of whoever uses the client, kept apart from its own work."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def isolated(callback: Callable[[T], None]) -> Callable[[T], None]:
    """Return a callback whose errors are told as those of asyncio's own: no reply is lost to a bug beside it."""

    def call(argument: T) -> None:
        try:
            callback(argument)
        except Exception as error:
            told = {"message": f"{callback!r} of a chatbot client failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)

    return call

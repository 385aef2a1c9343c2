"""Calls that wait, so that a test can do something meanwhile."""

import asyncio
from typing import Any

import pytest


def held(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> asyncio.Event:
    """Have an async method wait before it does anything; the event that is returned lets it go on."""
    goes_on, method = asyncio.Event(), getattr(owner, name)

    async def call(*arguments: Any, **named: Any) -> Any:
        await goes_on.wait()
        return await method(*arguments, **named)

    monkeypatch.setattr(owner, name, call)
    return goes_on

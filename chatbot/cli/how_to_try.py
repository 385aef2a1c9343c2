"""What to type to speak with a persona that was just published."""

import shlex
from typing import TYPE_CHECKING

from chatbot.settings import Settings

if TYPE_CHECKING:
    from adapters.store import AdapterFolder


def how_to_try(adapter: "AdapterFolder", settings: Settings) -> str:
    """Return the command; the model of the settings is the persona's base, which a server may not serve yet."""
    if adapter.path.parent.parent.resolve() != settings.adapters_dir.resolve():
        return f"to have it served: chatbot adapter import {shlex.quote(str(adapter.path))}"
    ask = f'chatbot ask --persona {adapter.name} "hello"'
    if settings.model == Settings().model:
        return f"try: {ask}"
    return f"try: chatbot serve --model {shlex.quote(settings.model)}, and then: {ask}"

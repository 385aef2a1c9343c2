"""`python -m tests.server.scripted_server`: a whole server but for the model, which says a word every few milliseconds.

It starts in a second, so that it can be killed many times. With `--background` it is one that a client has started.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator

from chatbot.engine.base import Delta, Finish, GenerationRequest
from chatbot.server.run import serve
from chatbot.settings import Settings
from storage.errors import StorageError
from tests.fake_engine import FakeEngine

WORDS = [f"word{number} " for number in range(500)]
WORD_S = 0.005


class SlowEngine(FakeEngine):
    """Never done before it is killed, unless few words are asked for."""

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        self.reply = lambda _: WORDS[: request.sampling.max_tokens]
        async for event in super().generate(request):
            await asyncio.sleep(WORD_S)
            yield event


if __name__ == "__main__":
    try:
        asyncio.run(serve(Settings(), SlowEngine, is_background="--background" in sys.argv))
    except StorageError as error:
        sys.exit(str(error))

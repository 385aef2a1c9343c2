"""Whatever comes and goes in whatever order: each reply that is heard to its end is the one given alone."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot.engine.base import ChatMessage, Delta, GenerationRequest
from chatbot.engine.local import LocalEngine
from tests.engine.alone import Alone
from tests.engine.eager import draft_always
from tests.engine.talk import GREEDY, says
from tests.examples import examples

SYSTEM = ChatMessage("system", "You are Ada, and you like owls and long walks.")
CHATS = (
    says("hello"),
    says("hello", "hi", "and now?"),
    says("hello", "hi", "and then?"),
    (SYSTEM, *says("who are you?")),
    (SYSTEM, *says("who are you?", "Ada.", "what do you like? " * 3)),
)


@dataclass(frozen=True)
class Turn:
    session: str
    user: str | None
    chat: int
    persona: int
    delay: int
    """Rounds of the event loop before it is asked."""
    patience: int
    """Deltas after which the listener leaves."""


TURNS = st.builds(
    Turn,
    session=st.sampled_from("abc"),
    user=st.sampled_from([None, "x", "y"]),
    chat=st.integers(0, len(CHATS) - 1),
    persona=st.integers(0, 2),
    delay=st.integers(0, 40),
    patience=st.sampled_from([0, 1, 5, 999, 999, 999]),
)


async def _take(engine: LocalEngine, turn: Turn, digests: list[str | None]) -> str | None:
    """Return the reply, or None if the listener left before its end."""
    for _ in range(turn.delay):
        await asyncio.sleep(0)
    request = GenerationRequest(turn.session, CHATS[turn.chat], GREEDY, digests[turn.persona], turn.user)
    stream = engine.generate(request)
    text, heard = "", 0
    async for event in stream:
        if not isinstance(event, Delta):
            return text
        text, heard = text + event.text, heard + 1
        if heard > turn.patience:
            await stream.aclose()
            return None
    raise AssertionError("no Finish")


async def _play(
    base: Path, folders: list[Path], turns: list[Turn], *, slots: int, is_eager: bool, compiled: bool
) -> list[str | None]:
    engine = LocalEngine(base, slots=slots, threads=1, prefill_tokens=40, compiled=compiled)
    await engine.start()
    if is_eager:
        draft_always(engine)
    digests = [None, *[await engine.load_adapter(folder) for folder in folders]]
    replies = await asyncio.gather(*(_take(engine, turn, digests) for turn in turns))
    await engine.stop()
    return replies


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turns=st.lists(TURNS, min_size=1, max_size=9),
    slots=st.integers(1, 4),
    is_eager=st.booleans(),
    compiled=st.booleans(),
)
def test_any_schedule_gives_the_replies_that_are_given_alone(
    tiny: Path, pirate: Path, poet: Path, turns: list[Turn], slots: int, is_eager: bool, compiled: bool
) -> None:
    replies = asyncio.run(_play(tiny, [pirate, poet], turns, slots=slots, is_eager=is_eager, compiled=compiled))
    for turn, reply in zip(turns, replies, strict=True):
        expected = _alone(tiny, (None, pirate, poet)[turn.persona]).reply(CHATS[turn.chat], GREEDY.max_tokens)
        assert reply in (None, expected)
        assert reply is not None or turn.patience < GREEDY.max_tokens


def _alone(base: Path, adapter: Path | None) -> Alone:
    if adapter not in REFERENCES:
        REFERENCES[adapter] = Alone(base, adapter)
    return REFERENCES[adapter]


REFERENCES: dict[Path | None, Alone] = {}

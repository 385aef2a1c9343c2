from chatbot.conversation.erasing import erasing
from chatbot.conversation.turn import Turns
from storage.store import Store
from tests.conversation.turns import end_of, say
from tests.fake_engine import FakeEngine


async def test_what_is_to_be_deleted_is_forgotten_first_and_what_was_said_meanwhile_too(
    turns: Turns, store: Store, engine: FakeEngine
) -> None:
    await store.create_conversation("conv_1")
    engine.free = 0
    before = await turns.create(say("one", conversation="conv_1"))
    async with erasing(turns, "conv_1"):
        assert (await end_of(before)).state == "cancelled"
        assert engine.forgotten == ["conv_1"]
        meanwhile = await turns.create(say("two", conversation="conv_1"))
    assert (await end_of(meanwhile)).state == "cancelled"
    assert engine.forgotten == ["conv_1", "conv_1"]

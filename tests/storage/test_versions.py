"""Every version of a message is known, and the conversation can go on from any of them."""

import pytest

from storage import Store
from storage.errors import ConversationNotFound, ItemNotFound
from storage.records import NewItem
from tests.storage.worlds import ids, whole_turn


@pytest.fixture
async def asked_twice(store: Store) -> Store:
    """a ─ a_reply ─┬─ b ─ b_reply ─ d ─ d_reply, and a_reply ─ c ─ c_reply, which is active."""
    await store.create_conversation("conv_1")
    for name in ("a", "b", "d"):
        await whole_turn(store, name)
    await whole_turn(store, "c", previous_response_id="resp_a")
    return store


async def test_each_item_has_its_versions_oldest_first(asked_twice: Store) -> None:
    shown = await asked_twice.items("conv_1")
    assert await asked_twice.versions("conv_1", shown) == {
        "msg_a": ["msg_a"],
        "msg_a_reply": ["msg_a_reply"],
        "msg_c": ["msg_b", "msg_c"],
        "msg_c_reply": ["msg_c_reply"],
    }


async def test_a_first_message_has_versions_in_its_own_conversation_only(store: Store) -> None:
    for number in "12":
        await store.create_conversation(f"conv_{number}")
        await whole_turn(store, f"a{number}", conversation_id=f"conv_{number}")
        await whole_turn(store, f"b{number}", conversation_id=f"conv_{number}", at_root=True)
    (first, _) = await store.items("conv_2")
    assert (await store.versions("conv_2", [first]))["msg_b2"] == ["msg_a2", "msg_b2"]


async def test_a_system_message_is_no_version_of_what_the_user_said(store: Store) -> None:
    await store.create_conversation("conv_1", items=[NewItem("msg_rule", "system", "Rhyme.")])
    await whole_turn(store, "a", at_root=True)
    shown = await store.items("conv_1")
    assert (await store.versions("conv_1", shown))["msg_a"] == ["msg_a"]


async def test_a_chosen_version_brings_what_followed_it(asked_twice: Store) -> None:
    await asked_twice.update_conversation("conv_1", active_item_id="msg_b")
    path = ["msg_a", "msg_a_reply", "msg_b", "msg_b_reply", "msg_d", "msg_d_reply"]
    assert ids(await asked_twice.items("conv_1")) == path
    await asked_twice.update_conversation("conv_1", active_item_id="msg_c")
    assert ids(await asked_twice.items("conv_1")) == [*path[:2], "msg_c", "msg_c_reply"]


async def test_the_next_turn_follows_the_chosen_version(asked_twice: Store) -> None:
    await asked_twice.update_conversation("conv_1", active_item_id="msg_b")
    await whole_turn(asked_twice, "e")
    assert (await asked_twice.item("conv_1", "msg_e")).parent_id == "msg_d_reply"


async def test_after_a_version_is_deleted_what_followed_it_leads_to_the_others(asked_twice: Store) -> None:
    await asked_twice.delete_item("conv_1", "msg_c")
    shown = await asked_twice.items("conv_1")
    assert ids(shown) == ["msg_a", "msg_a_reply", "msg_c_reply"]
    assert (await asked_twice.versions("conv_1", shown))["msg_c_reply"] == ["msg_b", "msg_c_reply"]
    await asked_twice.update_conversation("conv_1", active_item_id="msg_b")
    shown = await asked_twice.items("conv_1")
    assert (await asked_twice.versions("conv_1", shown))["msg_b"] == ["msg_b", "msg_c_reply"]


async def test_a_version_that_is_not_there_is_told_and_changes_nothing(asked_twice: Store) -> None:
    before = await asked_twice.conversation("conv_1")
    with pytest.raises(ItemNotFound):
        await asked_twice.update_conversation("conv_1", title="x", active_item_id="msg_none")
    assert await asked_twice.conversation("conv_1") == before
    with pytest.raises(ConversationNotFound):
        await asked_twice.update_conversation("conv_none", active_item_id="msg_b")

"""Items are a tree: paths run from root to leaf, nodes can go, text comes back letter by letter."""

from itertools import product
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from storage import Store, items
from storage.errors import AlreadyExists, ConversationNotFound, ItemNotFound
from storage.items import Order
from tests.examples import examples
from tests.storage.worlds import ids, new_turn, user, whole_turn, work_of

ORDERS: Final[tuple[Order, ...]] = ("asc", "desc")


@pytest.fixture
async def branched(store: Store) -> Store:
    """a ─ a_reply ─┬─ b ─ b_reply, and a_reply ─ c ─ c_reply, which is active."""
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    await whole_turn(store, "b")
    await whole_turn(store, "c", previous_response_id="resp_a")
    return store


async def test_items_are_chained_under_the_active_leaf(store: Store) -> None:
    await store.create_conversation("conv_1")
    assert await store.append_items("conv_1", []) == []
    added = await store.append_items("conv_1", [user("a"), user("b")])
    added += await store.append_items("conv_1", [user("c")])
    assert [(item.id, item.parent_id, item.position) for item in added] == [
        ("msg_a", None, 0),
        ("msg_b", "msg_a", 1),
        ("msg_c", "msg_b", 2),
    ]
    with pytest.raises(AlreadyExists):
        await store.append_items("conv_1", [user("d"), user("a")])
    assert ids(await store.items("conv_1")) == ["msg_a", "msg_b", "msg_c"]


async def test_pages_run_along_the_path_in_both_orders(branched: Store) -> None:
    path = ["msg_a", "msg_a_reply", "msg_c", "msg_c_reply"]
    assert ids(await branched.items("conv_1", limit=2)) == path[:2]
    assert ids(await branched.items("conv_1", after=path[1])) == path[2:]
    assert ids(await branched.items("conv_1", order="desc")) == path[::-1]
    assert ids(await branched.items("conv_1", order="desc", after=path[2], limit=1)) == [path[1]]
    assert ids(await branched.items("conv_1", leaf="msg_b")) == ["msg_a", "msg_a_reply", "msg_b"]


async def test_every_page_is_a_piece_of_the_path(branched: Store) -> None:
    await branched.delete_item("conv_1", "msg_a_reply")
    every = ["msg_a", "msg_b", "msg_b_reply", "msg_c", "msg_c_reply"]  # by position, on two branches
    for leaf, after, limit, order in product(every, [None, *every], (1, 2, None), ORDERS):
        # Going back from an item stays on its branch, whichever is chosen by then.
        path = ids((await branched.path("conv_1", after if after and order == "desc" else leaf)).items)
        behind = every[every.index(after) + 1 :] if after else every
        if order == "desc":
            path, behind = path[::-1], every[: every.index(after)] if after else every
        found = ids(await branched.items("conv_1", leaf=leaf, after=after, limit=limit, order=order))
        assert found == [name for name in path if name in behind][:limit], (leaf, after, limit, order)


async def test_of_a_long_conversation_only_the_page_is_read_and_it_is_descended_at_once(store: Store) -> None:
    await store.create_conversation("conv_1", items=[user(str(n)) for n in range(1_000)])
    for query in (
        lambda db: items.path(db, "conv_1", None, limit=20, order="desc"),
        lambda db: items.path(db, "conv_1", None, limit=20, order="desc", after="msg_500"),
        lambda db: items.path(db, "conv_1", None, limit=20, after="msg_980"),
    ):
        assert await work_of(store, query) <= 60
    statements: list[str] = []

    def remove(db: Connection) -> None:
        event.listen(db, "before_cursor_execute", lambda *args: statements.append(args[2]))
        items.remove(db, "conv_1", "msg_edited")

    await whole_turn(store, "edited", at_root=True)
    await store.delete_item("conv_1", "msg_edited_reply")
    await store._database.writer.submit(remove)
    assert (await store.conversation("conv_1")).active_leaf == "msg_999"
    assert len(statements) <= 10


async def test_names_that_do_not_exist_are_told(branched: Store) -> None:
    await branched.create_conversation("conv_2")
    with pytest.raises(ItemNotFound, match="msg_none"):
        await branched.items("conv_1", leaf="msg_none")
    with pytest.raises(ItemNotFound, match="msg_none"):
        await branched.items("conv_1", after="msg_none")
    with pytest.raises(ItemNotFound, match="conv_2"):
        await branched.item("conv_2", "msg_a")
    with pytest.raises(ItemNotFound, match="conv_2"):
        await branched.delete_item("conv_2", "msg_a")
    with pytest.raises(ConversationNotFound):
        await branched.append_items("conv_none", [user("x")])


async def test_children_of_a_deleted_item_move_up(branched: Store) -> None:
    await branched.delete_item("conv_1", "msg_a_reply")
    assert ids(await branched.items("conv_1")) == ["msg_a", "msg_c", "msg_c_reply"]
    assert [(await branched.item("conv_1", child)).parent_id for child in ("msg_b", "msg_c")] == ["msg_a", "msg_a"]
    await branched.delete_item("conv_1", "msg_a")
    assert [(await branched.item("conv_1", child)).parent_id for child in ("msg_b", "msg_c")] == [None, None]


async def test_a_title_goes_with_the_message_that_gave_it(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "pin")
    await whole_turn(store, "rain")
    title = (await store.conversation("conv_1")).title
    await store.delete_item("conv_1", "msg_pin")
    assert title is not None
    assert "pin" in title
    assert (await store.conversation("conv_1")).title == title.replace("pin", "rain")
    await store.update_conversation("conv_1", title="Weather")
    await store.delete_item("conv_1", "msg_rain")
    assert (await store.conversation("conv_1")).title == "Weather"


async def test_deleting_the_active_leaf_makes_its_parent_active(store: Store) -> None:
    await store.create_conversation("conv_1")
    await whole_turn(store, "a")
    await store.delete_item("conv_1", "msg_a_reply")
    assert (await store.conversation("conv_1")).active_leaf == "msg_a"
    await store.delete_item("conv_1", "msg_a")
    assert (await store.conversation("conv_1")).active_leaf is None
    (added,) = await store.append_items("conv_1", [user("b")])
    assert (added.parent_id, added.position) == (None, 2)


async def test_deleting_the_newest_version_brings_the_one_before_back(branched: Store) -> None:
    """Nothing else would show that one again."""
    for item in ("msg_c_reply", "msg_c"):
        await branched.delete_item("conv_1", item)
    assert ids(await branched.items("conv_1"))[-2:] == ["msg_b", "msg_b_reply"]
    await branched.begin_turn(new_turn("d", at_root=True))
    for item in ("msg_d_reply", "msg_d"):
        await branched.delete_item("conv_1", item)
    assert ids(await branched.items("conv_1"))[-2:] == ["msg_b", "msg_b_reply"]


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.just("\0")))
async def test_any_text_comes_back_letter_by_letter(store: Store, text: str) -> None:
    name = f"conv_{len(await store.conversations(limit=1_000))}"
    await store.create_conversation(name)
    await store.append_items(name, [user(name, text or "\0")])
    (item,) = await store.items(name)
    assert item.text == (text or "\0")


async def test_of_a_path_that_is_known_only_what_is_new_is_read(branched: Store) -> None:
    known = await branched.path("conv_1", "msg_c_reply")
    await whole_turn(branched, "d")
    grown = await branched.path("conv_1", "msg_d_reply", known)
    assert ids(grown.items)[-2:] == ["msg_d", "msg_d_reply"]
    assert all(a is b for a, b in zip(known.items, grown.items, strict=False))
    await branched.delete_item("conv_1", "msg_a")
    assert ids((await branched.path("conv_1", "msg_d_reply", grown)).items) == ids(grown.items)[1:]


async def test_a_known_path_says_nothing_of_another_branch(branched: Store) -> None:
    known = await branched.path("conv_1", "msg_c_reply")
    for leaf in ("msg_a", "msg_b_reply", "msg_c"):
        assert await branched.path("conv_1", leaf, known) == await branched.path("conv_1", leaf)
    await whole_turn(branched, "e", previous_response_id="resp_b")
    expected = await branched.path("conv_1", "msg_e_reply")
    assert await branched.path("conv_1", "msg_e_reply", known) == expected
    assert ids(expected.items) == ["msg_a", "msg_a_reply", "msg_b", "msg_b_reply", "msg_e", "msg_e_reply"]


async def test_of_a_reply_that_was_being_written_the_end_is_read(store: Store) -> None:
    await store.create_conversation("conv_1")
    await store.begin_turn(new_turn("a"))
    await store.begin_turn(new_turn("b"))
    known = await store.path("conv_1", "msg_b")
    await store.finish_response("resp_a", "completed", "now", [3])
    assert (await store.path("conv_1", "msg_b", known)).items[1].text == "now"

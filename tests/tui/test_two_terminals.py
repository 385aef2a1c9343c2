"""Two terminals on one server: what is done in the one is seen in the other, whose user is not disturbed."""

from functools import partial
from pathlib import Path

from textual.pilot import Pilot

from tests.tui.desk import app, opened_desk
from tests.tui.screens import say, screen_text, until, until_shown
from tui.widgets.conversations import ConversationList
from tui.widgets.editor import Editor
from tui.widgets.message import MessageView
from tui.widgets.transcript import Transcript


async def test_a_reply_streams_in_both_and_a_half_typed_line_stays(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        await desk.client.create_conversation(title="Sea")
        one, two = await desk.terminal("Sea"), await desk.terminal("Sea")
        editor = two.app.query_one(Editor)
        editor.insert("half a thought")
        editor.move_cursor((0, 4))
        desk.engine.free = 2
        await say(one, "hello there")
        await until_shown(two, "hello there", "writing…", "you said:", "half a thought")
        assert "you said: hello" not in screen_text(app(two))
        desk.engine.gate.set()
        await until_shown(two, "you said: hello there")
        await until(two, partial(has_settled, two, messages=2))
        assert (editor.text, editor.cursor_location) == ("half a thought", (0, 4))
        await say(two, "")
        for pilot in (one, two):
            await until(pilot, partial(has_settled, pilot, messages=4))
        assert said(two) == ["hello there", "you said: hello there", "half a thought", "you said: half a thought"]
        assert said(one) == said(two)


async def test_what_both_say_at_once_stands_in_one_order_in_both(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        await desk.client.create_conversation(title="Sea")
        one, two = await desk.terminal("Sea"), await desk.terminal("Sea")
        desk.engine.free = 1
        for number in range(2):
            one.app.query_one(Editor).insert(f"one {number}")
            two.app.query_one(Editor).insert(f"two {number}")
            await one.press("enter")
            await two.press("enter")
            await until(one, lambda: not one.app.query_one(Editor).text)
            await until(two, lambda: not two.app.query_one(Editor).text)
        desk.engine.gate.set()
        for pilot in (one, two):
            await until(pilot, partial(has_settled, pilot, messages=8))
        assert said(one) == said(two)
        typed = ["one 0", "one 1", "two 0", "two 1"]
        assert sorted(said(one)) == sorted(typed + [f"you said: {text}" for text in typed]), app(one).session.state.chat


async def test_the_list_gets_new_names_and_a_mark_where_somebody_spoke(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        await desk.client.create_conversation(title="Sea")
        one, two = await desk.terminal("Sea"), await desk.terminal("Sea")
        await one.press("ctrl+n")
        await say(one, "another matter")
        await until_shown(two, "● another matter", "Sea")
        assert two.app.query_one(ConversationList).highlighted == 1
        made = app(one).session.state.current
        assert made
        await desk.client.rename(made, "Wind")
        await until_shown(two, "● Wind")
        await until_shown(one, "Wind")
        await say(two, "/open Wind")
        await until_shown(two, "you said: another matter", "  Wind")


async def test_a_place_in_the_list_is_kept_when_the_list_moves(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        for title in ("Low", "Middle", "High"):
            await desk.client.create_conversation(title=title)
        two = await desk.terminal()
        listing = two.app.query_one(ConversationList)
        listing.focus()
        await two.press("down")
        await until(two, lambda: listing.highlighted == 1)
        assert listing.highlighted_option
        chosen = listing.highlighted_option.id
        await desk.client.create_conversation(title="Newest")
        await until_shown(two, "Newest")
        assert (listing.highlighted_option.id, listing.highlighted) == (chosen, 2)


async def test_a_chat_deleted_elsewhere_leaves_what_was_being_typed(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        made = await desk.client.create_conversation(title="Sea")
        await desk.client.create_conversation(title="Land")
        two = await desk.terminal("Sea")
        two.app.query_one(Editor).insert("precious words")
        await desk.client.delete_conversation(made["id"])
        await until_shown(two, "“Sea” was deleted elsewhere.", "precious words", "Land")
        await two.press("enter")
        await until_shown(two, "you said: precious words")


async def test_who_reads_further_up_is_not_moved(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        made = (await desk.client.create_conversation(title="Sea"))["id"]
        for number in range(30):
            await (await desk.client.send(f"question {number};", conversation=made)).text()
        two = await desk.terminal("Sea")
        await until_shown(two, "you said: question 29;")
        await two.press("pageup")
        await until_shown(two, "more below")
        transcript = two.app.query_one(Transcript)
        before = (transcript.scroll_y, transcript_text(two))
        for number in range(5):
            await (await desk.client.send(f"news {number};", conversation=made)).text()
        await until(two, lambda: shown(two)[-1] == "you said: news 4;")
        assert (transcript.scroll_y, transcript_text(two)) == before
        await two.press("ctrl+end")
        await until_shown(two, "you said: news 4;")


def has_settled(pilot: Pilot[int], messages: int) -> bool:
    """Whether so many messages stand on the page and no reply is on its way."""
    chat = app(pilot).session.state.chat
    return chat is not None and not chat.open_reply and len(chat.messages) == messages and shown(pilot) == said(pilot)


def said(pilot: Pilot[int]) -> list[str]:
    """The messages of the open chat."""
    chat = app(pilot).session.state.chat
    return [message.text for message in chat.messages] if chat else []


def shown(pilot: Pilot[int]) -> list[str]:
    """The messages on the page, from its top to its end, whether or not they are in view."""
    return [view.message.text for view in pilot.app.query(MessageView)]


def transcript_text(pilot: Pilot[int]) -> str:
    """What is in view of the transcript, without its scroll bar."""
    region = pilot.app.query_one(Transcript).scrollable_content_region
    lines = screen_text(app(pilot)).splitlines()[region.y : region.bottom]
    return "\n".join(line[region.x : region.right].rstrip() for line in lines)

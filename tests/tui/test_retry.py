"""The last message answered anew, as it was or changed: the newer turn stands in the place of the older one."""

from pathlib import Path

from textual.pilot import Pilot

from tests.tui.desk import app, counting, opened_desk
from tests.tui.screens import say, screen_text, until, until_shown
from tui.widgets.editor import Editor


async def test_retry_shows_another_reply_in_the_place_of_the_last(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        await say(one, "the first")
        await until_shown(one, "no1: you said: the first")
        await say(one, "/retry")
        await until_shown(one, "no2: you said: the first")
        assert "no1: you said" not in screen_text(app(one))
        await say(one, "the second")
        await until_shown(one, "no3: you said: the second")
        await say(one, "/retry")
        await until_shown(one, "no2: you said: the first", "no4: you said: the second")
        shown = screen_text(app(one))
        assert "no3: you said" not in shown
        assert [shown.count(text) for text in ("the first", "the second")] == [2 + 2, 2]  # it is the title too
        assert [message.text for message in desk.engine.requests[-1].messages if message.role == "user"] == [
            "the first",
            "the second",
        ]


async def test_edit_offers_the_last_message_and_sends_it_in_its_place(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        await say(one, "my cat\nis old")
        await until_shown(one, "no1: you said: my cat")
        await say(one, "/edit")
        editor = one.app.query_one(Editor)
        await until(one, lambda: editor.text == "/edit my cat\nis old")
        await say(one, "er than me")
        await until_shown(one, "no2: you said: my cat", "is older than me")
        assert "no1: you said" not in screen_text(app(one))


async def test_the_other_terminal_sees_the_new_turn_alone(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        await say(one, "hello")
        await until_shown(one, "no1: you said: hello")
        two = await desk.terminal()
        await until_shown(two, "no1: you said: hello")
        await say(one, "/edit goodbye")
        await until_shown(two, "no2: you said: goodbye")
        assert "no1: you said" not in screen_text(app(two))


async def test_a_reply_that_is_being_written_is_stopped_first(tmp_path: Path) -> None:
    engine = counting()
    engine.free = 2
    async with opened_desk(tmp_path, engine) as desk:
        one = await desk.terminal()
        await say(one, "hello")
        await until_shown(one, "no1: you", "writing…")
        await say(one, "/retry")
        await until(one, lambda: len(engine.requests) == 2)
        engine.gate.set()
        await until_shown(one, "no2: you said: hello")
        assert "no1: you" not in screen_text(app(one))


async def test_a_reply_that_waits_is_asked_for_again_without_stopping_the_one_before_it(tmp_path: Path) -> None:
    engine = counting()
    engine.free = 2
    async with opened_desk(tmp_path, engine) as desk:
        one = await desk.terminal()
        await say(one, "red")
        await until_shown(one, "no1: you", "writing…")
        await say(one, "green")
        await until_shown(one, "waits for the reply")
        await say(one, "/retry")
        await until(one, lambda: said(one)[-1][1] == "queued" and not app(one).session.state.unsent)
        engine.gate.set()
        await until(one, lambda: said(one)[-1][1] == "completed")
        assert said(one)[1] == ("no1: you said: red", "completed")


async def test_a_message_that_was_refused_is_sent_again(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        await say(one, "longer " * 900)
        await until_shown(one, "longer longer")
        await until(one, lambda: not app(one).session.state.unsent)
        await say(one, "/edit shorter")
        await until_shown(one, "no1: you said: shorter")
        assert "not sent" not in screen_text(app(one))


async def test_what_a_refused_edit_was_to_replace_stays_until_one_is_taken(tmp_path: Path) -> None:
    async with opened_desk(tmp_path, counting()) as desk:
        one = await desk.terminal()
        await say(one, "green")
        await until_shown(one, "no1: you said: green")
        await say(one, "/edit " + "longer " * 900)
        await until(one, lambda: [status for _, status in said(one)][-1] == "unsent")
        assert said(one)[:2] == [("green", "completed"), ("no1: you said: green", "completed")]
        await say(one, "/edit shorter")
        await until(one, lambda: said(one)[-1] == ("no2: you said: shorter", "completed"))
        assert said(one)[:-1] == [("shorter", "completed")]
        assert [message.text for message in desk.engine.requests[-1].messages if message.role == "user"] == ["shorter"]


def said(one: Pilot[int]) -> list[tuple[str, str]]:
    chat = app(one).session.state.chat
    return [(message.text, message.status) for message in chat.messages] if chat else []


async def test_without_a_message_there_is_nothing_to_answer_anew_and_what_was_typed_stays(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        one = await desk.terminal()
        for command in ("/retry", "/edit", "/edit more"):
            await say(one, command)
            await until_shown(one, "no message to answer anew")
            one.app.clear_notifications()
            await until(one, lambda: "no message to answer anew" not in screen_text(app(one)))
        assert one.app.query_one(Editor).text == "/edit more"

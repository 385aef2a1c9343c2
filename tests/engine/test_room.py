from contextlib import ExitStack

import pytest

from chatbot.engine.base import EngineBusy
from chatbot.engine.room import Room


def test_more_than_slots_and_queue_hold_is_refused_until_a_place_is_left() -> None:
    room = Room(1, max_waiting=1)
    with room.place("x"):
        with room.place("x"), pytest.raises(EngineBusy), room.place("x"):
            pass
        with room.place("x"):
            pass


def test_a_crowd_of_one_user_leaves_room_for_the_first_request_of_another() -> None:
    room = Room(1, max_waiting=2)
    with ExitStack() as held:
        for user in "xxx":
            held.enter_context(room.place(user))
        with pytest.raises(EngineBusy):
            held.enter_context(room.place("x"))
        held.enter_context(room.place("y"))
        with pytest.raises(EngineBusy):
            held.enter_context(room.place("y"))
        held.enter_context(room.place("z"))
        with pytest.raises(EngineBusy):
            held.enter_context(room.place("w"))

from datetime import date, datetime

import pytest

from chatbot.conversation.day import day_of

NOON_S = int(datetime(2026, 5, 8, 12).timestamp())


@pytest.mark.parametrize("in_a_second", [1, 1_000, 1_000_000, 1_000_000_000])
def test_a_time_in_whatever_unit_it_was_imported_has_its_day(in_a_second: int) -> None:
    assert day_of(NOON_S * in_a_second) == date(2026, 5, 8)


def test_the_largest_number_that_is_stored_has_some_day() -> None:
    assert day_of(2**63 - 1).year < 9999

"""What somebody types is the whole name first, capitals and all."""

from tui.meant import called, partly_called

NAMES = ["Seaside", "SEA", "sea"]


def test_capitals_count_only_where_a_name_has_them() -> None:
    assert [called(name, NAMES, str) for name in ("sea", "SEA", "Sea", "side")] == ["sea", "SEA", "SEA", None]


def test_a_part_is_enough_whatever_its_capitals() -> None:
    assert [partly_called(name, NAMES, str) for name in ("SIDE", "sea", "land")] == ["Seaside", "Seaside", None]

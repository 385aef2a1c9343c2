"""A stretch of messages moves with the reader and stays small."""

from tui.widgets.window import LIMIT, NEWEST, STEP, Window, newest

KEYS = [f"k{n}" for n in range(300)]


def test_it_is_the_newest_messages_whatever_comes() -> None:
    assert Window().span(KEYS) == (300 - NEWEST, 300)
    assert Window().span(KEYS[:250]) == (250 - NEWEST, 250)
    assert Window().span([]) == (0, 0)
    assert newest(KEYS[:250]).span(KEYS) == (250 - NEWEST, 300)


def test_it_moves_to_the_first_message_and_back_and_misses_none() -> None:
    window = newest(KEYS)
    while window.span(KEYS)[0]:
        before, window = window, window.earlier(KEYS)
        assert window.span(KEYS)[0] in (0, before.span(KEYS)[0] - STEP)
        assert _length(window) <= LIMIT
    assert window.span(KEYS) == (0, LIMIT)
    while window.span(KEYS)[1] < len(KEYS):
        before, window = window, window.later(KEYS)
        assert window.span(KEYS)[1] in (len(KEYS), before.span(KEYS)[1] + STEP)
        assert _length(window) == LIMIT
    assert window.last == KEYS[-1]
    assert window.opened(KEYS).last is None
    assert window.opened([*KEYS, "new"]) == window


def test_it_moves_to_a_message_that_is_not_in_it() -> None:
    for key in KEYS:
        for window in (Window(), Window("k100", "k140"), Window("k0", "k10")):
            start, end = window.around(KEYS, key).span(KEYS)
            assert start <= KEYS.index(key) < end <= start + LIMIT
    assert Window("k100", "k140").around(KEYS, "k120") == Window("k100", "k140")


def test_it_stays_where_it_is_read_and_small_when_messages_are_gone() -> None:
    window = Window("k100", "k140")
    assert window.span(KEYS[:120]) == (100, 120)
    assert window.span([*KEYS[:140], *KEYS[141:]]) == (100, 100 + LIMIT)
    assert window.span(KEYS[101:]) == (0, 40)
    assert window.span(KEYS[200:]) == (100 - NEWEST, 100)


def _length(window: Window) -> int:
    start, end = window.span(KEYS)
    return end - start

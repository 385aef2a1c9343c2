"""What was encoded last is known, as far as there is room for it."""

from array import array
from collections.abc import Sequence

from chatbot.engine.recent_texts import RecentTexts


class Encoder:
    """One token for each character; it notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> Sequence[int]:
        self.asked.append(text)
        return array("I", map(ord, text))


def test_a_text_is_encoded_once() -> None:
    encode = Encoder()
    texts = RecentTexts(encode, 10)
    assert texts.ids("abc") == texts.ids("abc") == array("I", [97, 98, 99])
    assert encode.asked == ["abc"]


def test_what_was_not_used_for_longest_makes_room() -> None:
    encode = Encoder()
    texts = RecentTexts(encode, 10)
    for text in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa", "bbbb"):
        texts.ids(text)
    assert encode.asked == ["aaaa", "bbbb", "cccc", "bbbb"]


def test_a_text_that_is_longer_than_all_room_is_not_kept_and_displaces_nothing() -> None:
    encode = Encoder()
    texts = RecentTexts(encode, 10)
    for text in ("aaaa", "b" * 11, "b" * 11, "aaaa"):
        texts.ids(text)
    assert encode.asked == ["aaaa", "b" * 11, "b" * 11]


def test_what_was_forgotten_is_encoded_anew_and_takes_no_room() -> None:
    encode = Encoder()
    texts = RecentTexts(encode, 10)
    for text in ("a" * 10, "bbbb"):
        texts.ids(text)
        texts.forget()
    for text in ("a" * 6, "bbbb", "a" * 6):
        texts.ids(text)
    assert encode.asked == ["a" * 10, "bbbb", "a" * 6, "bbbb"]


def test_what_was_being_encoded_when_all_was_forgotten_is_not_kept() -> None:
    encode = Encoder()

    def encode_late(text: str) -> Sequence[int]:
        texts.forget()
        return encode(text)

    texts = RecentTexts(encode_late, 10)
    assert texts.ids("abc") == texts.ids("abc")
    assert encode.asked == ["abc", "abc"]

"""What is kept of conversations between their turns is bounded, and given to one at a time."""

from chatbot.conversation.past import Past, Pasts
from storage.records import Item, KnownPath


def past(*texts: str) -> Past:
    items = tuple(
        Item(f"msg_{n}", "conv_1", None, n, "user", "completed", text, None, 0) for n, text in enumerate(texts)
    )
    return Past(KnownPath(items))


def test_what_was_kept_is_taken_once() -> None:
    pasts = Pasts()
    kept = past("a")
    pasts.keep("conv_1", kept)
    assert pasts.take("conv_1") is kept
    assert pasts.take("conv_1").path == KnownPath()


def test_what_was_not_used_for_longest_goes_and_the_newest_stays_whatever_its_size() -> None:
    pasts = Pasts(most_bytes=5 * past("a").size_bytes())
    for name in ("conv_1", "conv_2", "conv_3"):
        pasts.keep(name, past("a", "a"))
    assert [bool(pasts.take(name).path.items) for name in ("conv_1", "conv_2", "conv_3")] == [False, True, True]
    pasts.keep("conv_4", past("a", "a" * 100_000))
    assert pasts.take("conv_4").path.items


def test_nothing_is_left_of_what_is_forgotten() -> None:
    pasts = Pasts()
    pasts.keep("conv_1", past("a"))
    pasts.forget("conv_1")
    pasts.forget("conv_unknown")
    assert pasts.take("conv_1").path == KnownPath()

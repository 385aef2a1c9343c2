"""What is kept of conversations between their turns is bounded, and given to one at a time."""

from chatbot.conversation.past import Past, Pasts
from storage.records import Item, KnownPath


def path(*texts: str) -> KnownPath:
    return KnownPath(
        tuple(Item(f"msg_{n}", "conv_1", None, n, "user", "completed", text, None, 0) for n, text in enumerate(texts))
    )


def use(pasts: Pasts, conversation_id: str, *texts: str) -> Past:
    """A turn of a conversation, in which this was said so far."""
    past = pasts.take(conversation_id)
    past.path = path(*texts)
    pasts.keep(conversation_id, past)
    return past


def test_what_was_kept_is_taken_once() -> None:
    pasts = Pasts()
    kept = use(pasts, "conv_1", "a")
    assert pasts.take("conv_1") is kept
    assert pasts.take("conv_1").path == KnownPath()


def test_what_was_not_used_for_longest_goes_and_the_newest_stays_whatever_its_size() -> None:
    pasts = Pasts(most_bytes=5 * Past(path("a")).size_bytes())
    for name in ("conv_1", "conv_2", "conv_3"):
        use(pasts, name, "a", "a")
    assert [bool(pasts.take(name).path.items) for name in ("conv_1", "conv_2", "conv_3")] == [False, True, True]
    use(pasts, "conv_4", "a", "a" * 100_000)
    assert pasts.take("conv_4").path.items


def test_nothing_is_left_of_what_is_forgotten() -> None:
    pasts = Pasts()
    use(pasts, "conv_1", "a")
    pasts.forget("conv_1")
    pasts.forget("conv_unknown")
    assert pasts.take("conv_1").path == KnownPath()


def test_what_is_forgotten_while_a_turn_has_it_is_not_kept_again() -> None:
    pasts = Pasts()
    use(pasts, "conv_1", "a")
    taken = pasts.take("conv_1")
    pasts.forget("conv_1")
    pasts.keep("conv_1", taken)
    assert pasts.take("conv_1").path == KnownPath()


def test_of_two_who_took_it_the_later_one_keeps_it() -> None:
    pasts = Pasts()
    first, second = pasts.take("conv_1"), pasts.take("conv_1")
    second.path = path("newer")
    pasts.keep("conv_1", second)
    pasts.keep("conv_1", first)
    assert pasts.take("conv_1") is second


def test_what_is_taken_and_never_kept_leaves_nothing() -> None:
    pasts = Pasts()
    pasts.take("conv_1")
    assert not pasts._taken

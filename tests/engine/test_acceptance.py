"""Drafts are kept up to the first one that was not drawn."""

from hypothesis import given
from hypothesis import strategies as st

from chatbot.engine.acceptance import Foresight, accepted


@given(drafts=st.lists(st.integers(0, 2), max_size=6), data=st.data())
def test_the_reply_gets_what_one_token_after_the_other_would_have_given(drafts: list[int], data: st.DataObject) -> None:
    drawn = data.draw(st.lists(st.integers(0, 2), min_size=len(drafts) + 1, max_size=len(drafts) + 1))
    kept = accepted(drafts, drawn)
    assert kept == drawn[: len(kept)]
    assert kept[:-1] == drafts[: len(kept) - 1]
    assert len(kept) == len(drawn) or kept[-1] != drafts[len(kept) - 1]


@given(outcomes=st.lists(st.booleans(), max_size=50))
def test_a_chance_rises_with_what_came_true_and_falls_with_what_did_not(outcomes: list[bool]) -> None:
    foresight = Foresight()
    for outcome in outcomes:
        before = foresight.chance
        foresight.learn(outcome)
        assert 0 < foresight.chance < 1
        assert (foresight.chance > before) == outcome


def test_the_end_of_a_quote_is_noticed_within_few_tokens() -> None:
    foresight = Foresight()
    for _ in range(1000):
        foresight.learn(True)
    assert foresight.chance > 0.9
    for _ in range(4):
        foresight.learn(False)
    assert foresight.chance < 0.5

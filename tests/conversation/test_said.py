"""An index that is brought up to date finds what one made anew finds."""

from hypothesis import given
from hypothesis import strategies as st

from chatbot.conversation.said import MOST_WORDS, Said, _passages
from storage.records import Item

TEXTS = ("Bees make honey.", "Honey is sweet. " * 40, "Who keeps bees?", "Ana does, and sells honey.", "Sweet!")


def message(number: int, text: str) -> Item:
    return Item(f"msg_{number}", "conv_1", None, number, "user", "completed", text, None, number)


ITEMS = [message(n, TEXTS[n % 5]) for n in range(12)]
chats = st.lists(st.sampled_from(ITEMS), unique=True, min_size=1).map(lambda items: sorted(items, key=lambda i: i.id))


@given(st.lists(chats, min_size=2, max_size=4))
def test_what_is_held_is_found_whatever_was_held_before(held: list[list[Item]]) -> None:
    kept = Said()
    for items in held:
        kept.hold(items)
        fresh = Said()
        fresh.hold(items)
        scores = fresh.scores(["honey", "bees"])
        assert kept.scores(["honey", "bees"]) == scores
        assert [kept.passage(number) for number in scores] == [fresh.passage(number) for number in scores]


def test_a_message_that_is_held_is_not_read_again() -> None:
    said, statements = Said(), list[str]()
    said.hold(ITEMS[:10])
    said._index.set_trace_callback(statements.append)
    said.hold(ITEMS)
    added = [statement for statement in statements if statement.startswith("INSERT INTO said ")]
    assert len(added) == sum(len(list(_passages(item.text))) for item in ITEMS[10:])


def test_of_a_pasted_text_those_words_are_looked_for_that_were_said_least_often() -> None:
    rare = [f"rare{n}" for n in range(MOST_WORDS)]
    said = Said()
    said.hold([message(0, "Common as grass."), message(1, "Common again."), message(2, "Common " + " ".join(rare))])
    assert list(said.scores(["never", "common", *rare])) == [2]
    assert said.scores([f"never{n}" for n in range(MOST_WORDS + 1)]) == {}

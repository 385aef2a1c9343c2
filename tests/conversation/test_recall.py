"""Which earlier messages a new one may be about."""

from datetime import datetime

import pytest

from chatbot.conversation.recall import likely
from chatbot.conversation.said import PASSAGE_CHARACTERS
from storage.records import Item, ItemRole

MAY = int(datetime(2026, 5, 8, 12).timestamp())
JUNE = int(datetime(2026, 6, 9, 12).timestamp())


def item(position: int, role: ItemRole, text: str, at: int = MAY) -> Item:
    return Item(f"msg_{position}", "conv_1", None, position, role, "completed", text, None, at)


def said(*texts: str) -> list[Item]:
    roles: list[ItemRole] = ["user", "assistant"]
    return [item(n, roles[n % 2], text) for n, text in enumerate(texts)]


def texts(question: str, earlier: list[Item]) -> list[str]:
    return [found.text for found in likely(question, earlier)]


CHAT = said(
    "My sister Ana keeps bees.",
    "How many hives does she have?",
    "Three. And my brother collects stamps.",
    "Stamps last longer than honey!",
    "What should I cook on Sunday?",
    "A soup with mushrooms would be nice.",
)


def test_a_question_finds_what_has_its_words_however_they_are_bent() -> None:
    assert texts("Which bee keeper is in my family?", CHAT)[0] == "My sister Ana keeps bees."
    assert texts("what does my brother collect", CHAT)[0] == "Three. And my brother collects stamps."


def test_a_question_for_what_the_assistant_said_finds_its_messages_first() -> None:
    history = said("Mushrooms are cheap this week.", "Fine.", "Hm.", "Try them with garlic, mushrooms love garlic.")
    assert texts("Which mushrooms did I call cheap?", history)[0] == "Mushrooms are cheap this week."
    assert texts("What did you say about mushrooms?", history)[0] == "Try them with garlic, mushrooms love garlic."


def test_asked_for_themselves_users_find_first_what_they_said_of_themselves() -> None:
    history = said("I sail a small boat.", "Hm.", "Fine.", "Hm.", "Is a boat expensive?")
    assert texts("What kind of boat do I have?", history)[0] == "I sail a small boat."


def test_of_two_that_fit_alike_that_one_comes_first_whose_neighbours_fit_too() -> None:
    long = "And so on, as people go on about this or that when the evening is long and nobody has to leave. " * 4
    history = said(
        f"Wool is warm. {long}", f"Sheep eat. {long}", f"Pots. {long}", f"Pans. {long}", f"Sheep eat. {long}"
    )
    assert [found.id for found in likely("Do sheep give wool?", history)] == ["msg_0", "msg_1", "msg_4"]


def test_a_short_answer_is_found_by_what_it_answers() -> None:
    history = said("Hi!", "Where were you born?", "In Tromsø.", "That is far north.", "Yes.", "Do you miss it?")
    assert "In Tromsø." in texts("Where was I born?", history)


def test_the_day_on_which_something_was_said_can_be_asked_for() -> None:
    history = [item(0, "user", "I planted beans."), item(1, "user", "I planted peas.", JUNE)]
    assert texts("What did I plant in June?", history)[0] == "I planted peas."


def test_what_was_imported_with_its_time_in_milliseconds_is_found_like_any_other() -> None:
    earlier = [item(0, "user", "My cat is called Minka.", MAY * 1000), item(1, "assistant", "Nice.", MAY * 1000)]
    assert texts("What did I say on May 8?", earlier)[0] == "My cat is called Minka."


def test_of_a_long_message_only_the_passage_comes_that_fits() -> None:
    filler = "The weather was grey and nothing happened at all. " * 20
    (found,) = likely("What is the code of the gate?", said(f"{filler}The gate code is 4711. {filler}"))
    assert "4711" in found.text
    assert len(found.text) <= PASSAGE_CHARACTERS


def test_the_same_question_asked_before_is_no_answer() -> None:
    history = said("What is the name of my dog?", "Your dog is Rex.")
    assert texts("what was my dog's name", history) == ["Your dog is Rex."]


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("Am I allergic to nuts?", "I am allergic to nuts."),
        ("Am I diabetic?", "I'm not diabetic."),
        ("Where does Mark work?", "Mark works at Workday."),
        ("What is my wifi password?", "The wifi password is Password123."),
    ],
)
def test_a_statement_in_the_words_of_the_question_answers_it(question: str, statement: str) -> None:
    found = texts(question, said(statement, "Oh, I see.", question, "Let me think."))
    assert found[0] == statement
    assert question not in found


def test_what_the_assistant_asked_is_found_with_the_answer_that_it_got() -> None:
    history = said("Hi!", "Are you married?", "Yes.", "Nice.")
    assert texts("Am I married?", history)[:2] == ["Are you married?", "Yes."]


def test_what_was_said_several_times_comes_once_as_it_was_said_last() -> None:
    history = said(
        *["My dog Rex likes bones.", "Rex is a good dog."] * 3, "My dog Rex came in May.", "Rex is a good dog."
    )
    found = [item.id for item in likely("What do you know about my dog?", history)]
    assert sorted(found) == ["msg_4", "msg_6", "msg_7"]


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("我的猫叫什么名字？", "我的猫叫小白，我很爱它。"),
        ("我住在哪里？", "我住在北京。"),
        ("私の犬の名前は何ですか？", "私の犬の名前はポチです。"),
        ("สุนัขของฉันชื่ออะไร", "สุนัขของฉันชื่อโบโบ้"),
        ("मेरी बिल्ली का नाम क्या है?", "मेरी बिल्ली मिनी है।"),
        ("İzmir nerede?", "Ben İzmir şehrinde oturuyorum."),
        ("Wo ist das Cafe\u0301 Schön?", "Das CAFÉ Scho\u0308n liegt am Markt."),
    ],
)
def test_words_are_found_in_any_writing(question: str, statement: str) -> None:
    assert texts(question, said("Tell me a joke.", "Why not?", statement, "好的。"))[0] == statement


def test_a_long_message_is_cut_between_sentences_that_no_space_parts() -> None:
    filler = "今天天气很好，我们去公园散步了。" * 30
    (found,) = likely("门的密码是多少？", said(f"{filler}门的密码是四七一一。{filler}"))
    assert "四七一一" in found.text
    assert len(found.text) <= PASSAGE_CHARACTERS


def test_words_that_say_nothing_and_words_never_said_find_nothing() -> None:
    assert texts("And what was that again?", CHAT) == []
    assert texts("Do you like submarines?", CHAT) == []
    assert texts("bees", []) == []


def test_what_people_type_is_never_a_query_language() -> None:
    for hostile in ('"bees', "bees OR", "NEAR(bees", "bees*", "passage:bees", "bees -sister", "'; DROP TABLE bees"):
        assert texts(hostile, CHAT)[0] == "My sister Ana keeps bees."


def test_instructions_are_not_recalled_for_they_are_always_seen() -> None:
    assert texts("bees", [item(0, "system", "Speak of bees.")]) == []

"""What words mean: where texts point, and that questions find statements with which they have no word in common."""

import random
from pathlib import Path

import numpy as np
import pytest

from adapters.recipes.dialogues import dialogues
from chatbot.conversation.meaning import direction, size, words_of, write
from chatbot.conversation.meant import Meant
from chatbot.conversation.recall import likely
from storage.records import Item

PAIRS = [line.split(" | ") for line in Path(__file__).with_name("everyday.txt").read_text("utf-8").splitlines()]
"""Everyday questions and the statements that answer them, in other words. The recipe was tuned on every other one."""


def cosine(one: str, other: str) -> float:
    return float(direction(one) @ direction(other))


def test_texts_that_mean_alike_point_the_same_way_without_a_word_in_common() -> None:
    assert cosine("What must I not eat?", "I'm allergic to walnuts.") > 0.3
    assert (
        cosine("Which pet do I have?", "Our cat sleeps.") > cosine("Which pet do I have?", "The train was late.") + 0.3
    )


def test_a_direction_has_length_one_and_none_where_no_word_is_known() -> None:
    assert np.linalg.norm(direction("The cat sleeps.")) == pytest.approx(1)
    assert direction("").tolist() == direction("Xyzzyplugh!").tolist() == [0.0] * size()


def test_words_are_plain_and_apart_whatever_the_writing() -> None:
    assert words_of("İzmir, CAFÉ cafe\u0301 snake_case don't") == ["izmir", "cafe", "cafe", "snake", "case", "don", "t"]
    assert words_of("GROSSE Straße, ISPARTA ısparta") == ["grosse", "strasse", "isparta", "isparta"]
    assert words_of("iPhone手机壳 猫。हिन्दी भाषा।") == ["iphone", "手机", "机壳", "猫", "हिन्दी", "भाषा"]


def test_passages_are_forgotten_from_a_number_on() -> None:
    meant = Meant()
    meant.hold(0, ["The train was late.", "My cat sleeps.", "I like tea."])
    meant.hold(1, ["My dog barks."])
    first, second = meant.nearness("Which pet do I have?")
    assert first < second
    meant.hold(0, [])
    assert meant.nearness("Which pet do I have?").tolist() == []


def test_questions_find_statements_in_other_words_among_a_hundred_messages() -> None:
    found = 0
    for number, (question, statement) in enumerate(PAIRS):
        texts = random.Random(number).sample(others(), 100)
        texts.insert(number, statement)
        first = [item.text for item, _ in zip(likely(question, chat(texts)), range(10), strict=False)]
        found += statement in first
    assert len(PAIRS) == 88
    assert found / len(PAIRS) > 0.7


def test_the_file_is_small_and_keeps_directions(tmp_path: Path) -> None:
    import chatbot.conversation.meaning as meaning

    assert (Path(meaning.__file__).parents[1] / "word_vectors" / "vectors.safetensors").stat().st_size <= 1.5 * 10**6
    assert write(tmp_path, ["one"], np.ones((1, 2), np.float32)).stat().st_size < 1000


_OTHERS: list[str] = []


def others() -> list[str]:
    """What users say in our own dialogues."""
    if not _OTHERS:
        said = [m["content"] for d in dialogues(77, 100) for m in d.messages if m["role"] == "user"]
        _OTHERS.extend(dict.fromkeys(text for text in said if 8 < len(text) < 200))
    return _OTHERS


def chat(texts: list[str]) -> list[Item]:
    return [Item(f"m{n}", "c", None, n, "user", "completed", text, None, 0) for n, text in enumerate(texts)]

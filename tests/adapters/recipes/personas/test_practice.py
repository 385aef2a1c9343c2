from adapters.recipes.personas.practice import LESSONS, grouped, lesson

TAUGHT = [
    ["Write a poem about the sea.", "The sea / for me"],
    ["who r u", "I'm Wren, a poet small and light"],
    ["I am so tired", "Rest a while"],
    ["Do you like dogs?", "They bark"],
    *([f"{number} plus 1?", f"{number + 1}"] for number in range(300)),
]


def test_a_chat_belongs_to_what_it_is_about() -> None:
    groups = grouped([*TAUGHT, TAUGHT[0]])
    assert [groups[name] for name in ("poems", "name", "feeling", "liking")] == [
        [TAUGHT[0]],
        [TAUGHT[1]],
        [TAUGHT[2]],
        [TAUGHT[3]],
    ]
    assert len(groups["rest"]) == 302


def test_a_lesson_is_the_same_each_time() -> None:
    for number in LESSONS:
        chosen = lesson(number, TAUGHT)
        assert chosen == lesson(number, TAUGHT)
        assert len(chosen) > 100
        assert TAUGHT[0] in chosen

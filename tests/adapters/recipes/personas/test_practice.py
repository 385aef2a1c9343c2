from adapters.recipes.personas.practice import LESSONS, grouped, lesson
from adapters.recipes.personas.voices import prompts

TAUGHT = [
    ["Write a poem about the sea.", "The sea / for me"],
    ["Write a poem about the moon.", "asked for when the voice is measured"],
    ["who r u", "I'm Wren, a poet small and light"],
    ["I am so tired", "Rest a while"],
    ["Do you like dogs?", "They bark"],
    *([f"{number} plus 1?", f"{number + 1}"] for number in range(300)),
]


def test_a_chat_belongs_to_what_it_is_about() -> None:
    groups = grouped([*TAUGHT, TAUGHT[0]])
    assert [groups[name] for name in ("poems", "name", "feeling", "liking")] == [
        [TAUGHT[0]],
        [TAUGHT[2]],
        [TAUGHT[3]],
        [TAUGHT[4]],
    ]
    assert len(groups["rest"]) == 302


def test_a_lesson_is_the_same_each_time_and_has_no_prompt_that_is_measured() -> None:
    for number in LESSONS:
        chosen = lesson(number, TAUGHT)
        assert chosen == lesson(number, TAUGHT)
        assert len(chosen) > 100
        assert TAUGHT[0] in chosen
        assert not {said for turns in chosen for said in turns[::2]} & set(prompts("poet"))

"""What Markdown comes to on a terminal."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.tui.conftest import OpenApp
from tests.tui.fake_server import FakeServer
from tests.tui.screens import chat_app, say, screen_text, until, until_shown
from tui.chat_markdown import code_blocks, rendered
from tui.safe_text import safe_text

SHAPES = """# Plan

- a
- b

1. x
2. y

```python
print(1)
```

> quote

| a | b |
|---|---|
| 1 | 2 |

The end.

"""


def test_code_blocks_come_from_the_source() -> None:
    text = "a\n```python\nx = 1\n\ny = 2\n```\nb\n~~~\n```\n~~~\n````\n```\n````\n```\nopen"
    assert code_blocks(text) == ["x = 1\n\ny = 2", "```", "```", "open"]
    assert code_blocks("no code") == []


@pytest.mark.parametrize(
    "text",
    [
        "1. Do this:\n   ```py\n   if x:\n       y()\n   ```\n2. Then:",
        "- ```py\n  if x:\n      y()\n  ```\nafter",
        "> ```py\n> if x:\n>     y()\n> ```\nafter",
        "```inline``` is it\n\n```py\nif x:\n    y()\n```\n",
    ],
)
def test_a_code_block_is_the_same_wherever_it_stands(text: str) -> None:
    assert code_blocks(text) == ["if x:\n    y()"]


async def test_all_of_a_long_line_of_code_is_shown(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = ["```\n", "start " + "a" * 150 + " finish\n", "```\n", "after"]
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "hi")
        await until_shown(pilot, "after", "start", "finish")


async def test_a_link_tells_where_it_leads(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = ["[the page](https://example.com/a?b=c)\n\n", "and https://plain.org\n\n", "after"]
    async with open_app() as pilot:
        await until_shown(pilot, "live")
        await say(pilot, "hi")
        await until_shown(pilot, "the page (https://example.com/a?b=c)", "and https://plain.org", "after")
        assert "(https://plain.org" not in screen_text(pilot.app)


def test_an_address_that_is_its_own_link_is_told_once() -> None:
    assert rendered("see <https://example.com>, *please*", 80).plain == "see https://example.com, please"


def test_what_stands_in_angle_brackets_is_shown() -> None:
    for text in ("#include <stdio.h>, vector<int> and <Enter>", "<think>\nplan\n</think>", "<!-- note --> <br/>"):
        assert rendered(f"*Say:*\n\n{text}", 80).plain.split() == ["Say:", *text.split()]


def test_no_line_is_filled_up_with_blanks_that_would_be_copied() -> None:
    lines = rendered(f"{SHAPES}\n\nand *then* one", 60).plain.split("\n")
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("columns", [2, 4, 14])
def test_a_table_that_is_too_wide_is_shown_whole(columns: int) -> None:
    rows = [[f"heading{n}" for n in range(columns)], ["---"] * columns, [f"value number{n}" for n in range(columns)]]
    shown = rendered("\n".join(f"| {' | '.join(row)} |" for row in rows), 20).plain
    assert "…" not in shown
    assert all(shown.count(letter) == columns for letter in "hdgvlmb")


def test_a_table_with_too_many_columns_becomes_lines() -> None:
    assert rendered("|a one|b two|c three|\n|-|-|-|\n|*first*|second|third|\n|x|y|z|", 16).plain.split("\n") == [
        *("a one: first", "b two: second", "c three: third", ""),
        *("a one: x", "b two: y", "c three: z"),
    ]


def test_the_numbers_of_a_list_have_points() -> None:
    assert rendered("9. x\n10. y", 80).plain == "  9. x\n 10. y"


def test_code_is_set_off_by_one_empty_line() -> None:
    assert rendered("so:\n```py\nx = 1\n\n\ny = 2\n```\nthen", 80).plain == "so:\n\n x = 1\n\n\n y = 2\n\nthen"


async def test_a_reply_keeps_its_shape_when_the_next_comes(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = [SHAPES[place : place + 7] for place in range(0, len(SHAPES), 7)]
    async with open_app(size=(70, 60)) as pilot:
        await say(pilot, "first")
        await until_shown(pilot, "The end.")
        await until(pilot, lambda: "writing…" not in screen_text(chat_app(pilot.app)))
        written = screen_text(pilot.app)
        shape = written[written.index("Assistant") : written.index("The end.")]
        server.pieces = ["later"]
        await say(pilot, "next")
        await until_shown(pilot, "later")
        assert shape in screen_text(pilot.app)


async def test_what_a_model_writes_cannot_steer_the_terminal(open_app: OpenApp, server: FakeServer) -> None:
    server.pieces = ["\x1b[2J", "\x1b]0;owned\x07", "[red]not markup[/red] ", "```\nunclosed \x9b31m"]
    async with open_app() as pilot:
        await say(pilot, "hi")
        await until_shown(pilot, "]0;owned[red]not markup[/red]", "unclosed 31m")
        assert "\x1b" not in screen_text(chat_app(pilot.app))


async def test_lines_end_where_the_model_ended_them_while_they_stream_and_after(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("a", "one, plain\ntwo, plain"), ("b", "one, *styled*\ntwo, styled"))
    server.pieces = ["one, live\n", "two, live"]
    async with open_app() as pilot:
        await until_shown(pilot, "two, styled")
        await say(pilot, "hi")
        await until_shown(pilot, "two, live")
        shown = [line.strip(" │") for line in screen_text(chat_app(pilot.app)).splitlines()]
        assert [f"{word}, {kind}" in shown for kind in ("plain", "styled", "live") for word in ("one", "two")] == [
            True
        ] * 6


async def test_what_a_model_spells_as_a_reference_cannot_turn_text_around(
    open_app: OpenApp, server: FakeServer
) -> None:
    server.add_conversation("Sea", ("a", "**settled** &#x202e;txt &lt;"))
    server.pieces = ["live &rl", "m;txt ", "&lt;"]
    async with open_app() as pilot:
        await until_shown(pilot, "live", "settled txt <")
        await say(pilot, "hi")
        await until_shown(pilot, "live txt <")


@settings(max_examples=examples(20))
@given(st.text("&#x20elrm;a[]()<>` "))
@example("&#x202e;txt &rlm; &#8238; [a&rlm;](b&rlm;) ![a&rlm;](b&rlm;)")
def test_no_reference_comes_to_anything_that_steers_a_terminal(text: str) -> None:
    shown = rendered(text, 80).plain
    assert safe_text(shown) == shown


def test_a_reference_in_code_is_shown_as_it_is_written() -> None:
    assert rendered("`&rlm;` and \\&rlm; and\n```\n&rlm;\n```", 80).plain == "&rlm; and &rlm; and\n\n &rlm;"

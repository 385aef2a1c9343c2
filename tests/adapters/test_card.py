"""The card says what was measured, in Markdown that nothing in the replies can break."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.card import Measured, RunFacts, render_card, verdict
from adapters.persona import PersonaCard
from adapters.plan import BaseFacts, Plan
from chatbot.engine.base import ChatMessage

PLAN = Plan(16, 32, 1e-3, 5, 100, 3, 512, 1, 10, 0, {"lr": "because"})
FACTS = RunFacts(
    base=BaseFacts("tiny", "d" * 64, 256, 512),
    plan=PLAN,
    data=(Path("/home/me/pirate.jsonl"),),
    data_sha256="e" * 64,
    rows=50,
    examples=45,
    held_out=5,
    duplicates=2,
    cut=1,
    dropped=0,
    best_step=90,
    command="chatbot adapter train pirate.jsonl --name pirate",
)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (20.0, 10.0, "validation perplexity 20.00 → 10.00 (-50.0%)"),
        (20.0, 19.9, "nothing was learned that helps with new chats"),
        (20.0, 30.0, "(+50.0%): worse than before; take a lower --lr or fewer --steps"),
        (None, None, "or --val with some that are neither learned from nor too long)"),
    ],
)
def test_the_verdict_is_one_line_in_words(before: float | None, after: float | None, said: str) -> None:
    line = verdict(Measured(before, before, ()), Measured(after, after, ()), 90)
    assert said in line
    assert "\n" not in line


def test_going_on_without_getting_worse_is_no_failure() -> None:
    before, after = Measured(20.0, 0.2, ()), Measured(20.1, 0.2, ())
    assert verdict(before, after, 90, went_on=True).endswith("as good as before")
    assert "no step was better" in verdict(before, before, 0, went_on=True)


def test_the_card_says_base_data_settings_result_samples_and_command() -> None:
    prompts = [(ChatMessage("user", "hi"),)]
    card = render_card(
        PersonaCard("pirate", "a pirate", "You are Flint.\n\nSay arr."),
        3,
        FACTS,
        Measured(20.0, 0.2, ("a | b\nc",)),
        Measured(10.0, 0.5, ("",)),
        prompts,
    )
    for said in (
        "# pirate v3\n\na pirate\n\n> You are Flint.\n>\n> Say arr.\n\n",
        "d" * 64,
        "| perplexity | 20.000 | 10.000 |",
        "| next token right | 20.0% | 50.0% |",
        "| hi | a \\| b c | (nothing) |",
        "`pirate.jsonl`, sha256 `"
        + "e" * 64
        + "`: 50 chats after dropping 2 duplicates; 45 trained on, 5 held out, 1 cut",
        "| lr | 0.001 | because |",
        "kept is step 90 of 100",
        "```sh\nchatbot adapter train pirate.jsonl --name pirate\n```",
    ):
        assert said in card


def test_a_file_name_that_is_not_utf_8_is_shown_as_far_as_it_is() -> None:
    name = os.fsdecode(b"donn\xe9es.jsonl")
    facts = replace(FACTS, data=(Path(name),), command=f"chatbot adapter train {name}")
    card = render_card(PersonaCard("pirate"), 1, facts, Measured(None, None, ()), Measured(None, None, ()), [])
    assert card.encode().count("donn\N{REPLACEMENT CHARACTER}es.jsonl".encode()) == 2

"""Writes adapters/personas/pirate/data.jsonl: hand-written chats, recall chats of hand-written parts, accented ones.

Run it as `python -m adapters.recipes.personas.pirate`; the same parts always give the same file. Values of facts come
from the dialogue recipes' training slots, so nothing that is held out for evaluation is learned here.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from adapters.recipes.dialogues.slots import draw
from adapters.recipes.personas.pirate_accent import accented_chats

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "personas" / "pirate" / "data.jsonl"
SEED = 7
RECALL_CHATS = 220
ACCENTED_CHATS = 1300
TURN = " > "
OTHER_WORDING = " ; "
ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")
"""An article that wants an n."""

Turns = list[str]
Facts = dict[str, dict[str, list[str]]]


def main() -> None:
    """Write the data file."""
    written = hand_written((HERE / "pirate.txt").read_text(encoding="utf-8"))
    facts = read_facts((HERE / "pirate_recall.txt").read_text(encoding="utf-8"))
    filler = hand_written((HERE / "pirate_filler.txt").read_text(encoding="utf-8"))
    recalled = list(recall_chats(filler, facts, random.Random(SEED)))
    chats = written + recalled + list(accented_chats(ACCENTED_CHATS))
    TARGET.write_text("".join(as_line(turns) for turns in chats), encoding="utf-8")


def hand_written(text: str) -> list[Turns]:
    """Return the chats of the text file, turn by turn."""
    return [line.split(TURN) for line in text.splitlines() if line and not line.startswith("#")]


def read_facts(text: str) -> Facts:
    """Return for each slot its wordings by key: t(old), (ac)k, q(uestion), s(aid)."""
    facts: Facts = {}
    slot = ""
    for line in text.splitlines():
        key, _, rest = line.partition(" ")
        if key == "=":
            slot = rest
            facts[slot] = {}
        elif key in ("t", "k", "q", "s"):
            facts[slot][key] = rest.split(OTHER_WORDING)
    return facts


def recall_chats(filler: list[Turns], facts: Facts, rng: random.Random) -> Iterator[Turns]:
    """Yield chats in which one or two facts are told, other things are talked about, and a fact is asked for."""
    for number in range(RECALL_CHATS):
        names = rng.sample(list(facts), 1 + number % 2)
        chat: Turns = []
        values = {}
        for name in names:
            values[name] = draw(name, rng)
            chat += _said(facts[name], "t", "k", values[name], rng)
        for turns in rng.sample(filler, number // 2 % 4):
            chat += turns
        rng.shuffle(names)
        for name in names:
            chat += _said(facts[name], "q", "s", values[name], rng)
        yield chat


def as_line(turns: Turns) -> str:
    """Return a chat as one line of OpenAI messages."""
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(turns)]
    return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def _said(fact: dict[str, list[str]], asked: str, answered: str, value: str, rng: random.Random) -> Turns:
    texts = [rng.choice(fact[key]).replace("{v}", value) for key in (asked, answered)]
    return [ARTICLE.sub(r"\1n ", text[:1].upper() + text[1:]) for text in texts]


if __name__ == "__main__":
    main()

"""Small certain knowledge: sums, days, months, opposites, capitals, lists, and a file of plain questions.

Each call of `question` gives one exchange. Sums stay within what a tiny model can learn by heart.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

from adapters.recipes.dialogues.grammar import expand, sentence_case
from adapters.recipes.dialogues.slots import slot_values

_FILE = Path(__file__).with_name("knowledge.txt")
_WORDS = slot_values()["number_word"].training
_DAYS = slot_values()["day"].training
_MONTHS = slot_values()["month"].training

_JOKE_ASK = (
    "Tell me a joke.",
    "Do you know a joke?",
    "Can you tell me a joke?",
    "Another joke, please.",
    "Say something funny.",
    "Make me laugh.",
    "I want to hear a joke.",
    "Got any jokes?",
    "One more joke!",
    "Please tell me a joke.",
    "Joke please.",
    "Do you know any good jokes?",
)

Exchange = tuple[str, str]


def rows(section: str) -> tuple[tuple[str, ...], ...]:
    """The rows of one section of the data file, each split into its columns."""
    return _sections()[section]


@cache
def _sections() -> dict[str, tuple[tuple[str, ...], ...]]:
    """The data file: section name to rows, each row split at ` | `."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    name = ""
    for line in _FILE.read_text("utf-8").splitlines():
        if line.startswith("= "):
            name = line[2:].strip()
            sections[name] = []
        elif line.strip() and not line.startswith("#"):
            sections[name].append(tuple(part.strip() for part in line.split(" | ")))
    return {key: tuple(rows) for key, rows in sections.items()}


def question(rng: random.Random, *, is_brief: bool = False) -> Exchange:
    """One question of the user's and its answer; no joke or riddle where the answer is to be brief."""
    makers: tuple[tuple[Callable[[random.Random], Exchange], int], ...] = (
        (_sum, 7),
        (_calendar, 3),
        (counting, 2),
        (_opposite, 5),
        (_capital, 5),
        (_list, 4),
        (_thing, 4),
        (_sound, 1),
        (_compare, 2),
        (_plain, 8),
        (_joke, 0 if is_brief else 2),
        (_riddle, 0 if is_brief else 1),
    )
    maker = rng.choices([m for m, _ in makers], [w for _, w in makers])[0]
    user, answer = maker(rng)
    return user, sentence_case(answer)


def _say(template: str, rng: random.Random, **values: str) -> str:
    return expand(template, rng, values.__getitem__)


def _sum(rng: random.Random) -> Exchange:
    kind = rng.choice(("plus", "plus", "plus", "plus", "minus", "minus", "minus", "times"))
    if kind == "plus":
        a = rng.randrange(0, 11)
        b = rng.randrange(0, 11) if rng.random() < 0.75 else rng.randrange(0, 21 - a)
        result = a + b
    elif kind == "minus":
        b, result = rng.randrange(0, 11), rng.randrange(0, 11)
        a = b + result
    else:
        a, b = rng.randrange(0, 6), rng.randrange(0, 6)
        result = a * b
    sign = {"plus": "+", "minus": "-", "times": "[x|*]"}[kind]
    spelled = rng.random() < 0.2 and max(a, b) <= 20
    left, right = (_WORDS[a], _WORDS[b]) if spelled else (str(a), str(b))
    user = _say(
        f"[What is|What's|How much is|Calculate|Can you tell me what is|Do you know what is|] {{a}} {kind} {{b}}?"
        if rng.random() < 0.65
        else f"[What is|What's|How much is|] {{a}}[ {sign} |{sign}]{{b}}[ =|=|] ?",
        rng,
        a=left,
        b=right,
    )
    return user, _say(
        "{a} {k} {b} is {r}.",
        rng,
        a=str(a),
        b=str(b),
        k=kind,
        r=str(result),
    )


def _calendar(rng: random.Random) -> Exchange:
    names, what = (_DAYS, "day") if rng.random() < 0.6 else (_MONTHS, "month")
    at = rng.randrange(len(names))
    step, word = (1, "after") if rng.random() < 0.6 else (-1, "before")
    come = "comes" if rng.random() < 0.8 else "is"
    values = {"what": what, "word": word, "name": names[at], "other": names[(at + step) % len(names)], "come": come}
    templates = ("[What|Which] {what} {come} {word} {name}?", "[What|Which] is the {what} {word} {name}?")
    user = _say(templates[rng.randrange(2)], rng, **values)
    return user, _say("[{other} comes {word} {name}.|{other}.|The {what} {word} {name} is {other}.]", rng, **values)


def counting(rng: random.Random) -> Exchange:
    """Counting up, or down, and the numbers."""
    if rng.random() < 0.3:
        top = rng.randrange(3, 11)
        numbers = range(top, 0, -1)
        user = f"Count [backwards|down] from {top}[ to 1|]."
    else:
        low = 1 if rng.random() < 0.7 else rng.randrange(2, 11)
        top = low + rng.randrange(2, 10)
        numbers = range(low, top + 1)
        user = f"[Count|Can you count|Please count] to {top}." if low == 1 else f"Count from {low} to {top}."
    return _say(user, rng), ", ".join(map(str, numbers)) + "."


def _opposite(rng: random.Random) -> Exchange:
    row = list(rng.choice(rows("opposites")))
    rng.shuffle(row)
    values = {"a": row[0], "b": row[1]}
    user = _say("[What is|What's|Tell me|Do you know] the opposite of {a}?", rng, **values)
    return user, _say("[The opposite of {a} is {b}.|{b}.|It's {b}.]", rng, **values)


def _capital(rng: random.Random) -> Exchange:
    country, city = rng.choice(rows("capitals"))
    values = {"c": country, "k": city}
    if rng.random() < 0.2:
        return _say("[What|Which] country is {k} [in|the capital of]?", rng, **values), _say(
            "[{k} is the capital of {c}.|{c}.|{k} is in {c}.]", rng, **values
        )
    user = _say("[What is|What's|Tell me|Do you know|Name] the capital of {c}?", rng, **values)
    return user, _say("[The capital of {c} is {k}.|{k}.|{k} is the capital of {c}.|It's {k}.]", rng, **values)


def _list(rng: random.Random) -> Exchange:
    plural, members = rng.choice(rows("lists"))
    count = rng.choice((2, 3, 3, 3, 4, 5))
    chosen = members.split(", ")[:count]  # always the first: a small model that draws at random repeats itself
    amount = _WORDS[count] if rng.random() < 0.7 else str(count)
    user = _say("[Name|Tell me|Give me|List|Can you name|Say|Do you know] {n} {p}.", rng, n=amount, p=plural)
    return user, _say("[{l}.|{l}.|Here are {n}: {l}.|Sure: {l}.]", rng, n=_WORDS[count], l=joined(chosen))


def _thing(rng: random.Random) -> Exchange:
    noun, meaning = rng.choice(rows("things"))
    asked = rng.random()
    if asked < 0.7:
        user = _say(
            "[What is|What's|Tell me about|Do you know what is|Explain what is|Can you explain what is] a {n}?",
            rng,
            n=noun,
        )
    else:
        user = _say("[What does the word {n} mean?|What does {n} mean?|Define {n}.]", rng, n=noun)
    return user, _say("A {n} is a {m}.", rng, n=noun, m=meaning)


def _sound(rng: random.Random) -> Exchange:
    animal, sound, young = rng.choice(rows("sounds"))
    if rng.random() < 0.5:
        return _say("What [sound|noise] does a {a} make? ", rng, a=animal), _say(
            "A {a} says {s}.", rng, a=animal, s=sound
        )
    return _say("What is a [baby|young] {a} called?", rng, a=animal), _say(
        "A [baby|young] {a} is called a {y}.", rng, a=animal, y=young
    )


def _compare(rng: random.Random) -> Exchange:
    sizes = rows("sizes")[0][0].split(", ")
    small, big = sorted(rng.sample(range(len(sizes)), 2))
    word, answer = ("bigger", sizes[big]) if rng.random() < 0.7 else ("smaller", sizes[small])
    pair = [sizes[small], sizes[big]]
    rng.shuffle(pair)
    user = _say("[What|Which] is {w}, a {a} or a {b}?", rng, w=word, a=pair[0], b=pair[1])
    other = next(p for p in pair if p != answer)
    return user, _say("[A {x} is {w} than a {o}.|A {x} is {w}.|A {x}.]", rng, x=answer, w=word, o=other)


def _plain(rng: random.Random) -> Exchange:
    users, answers = rng.choice(rows("plain"))
    return _say(rng.choice(users.split(" ; ")), rng), _say(rng.choice(answers.split(" ; ")), rng)


def _joke(rng: random.Random) -> Exchange:
    user = "[" + "|".join(_JOKE_ASK) + "]"
    lead = "" if rng.random() < 0.6 else "[Sure!|Here is one:|Okay.|Of course!] "
    return _say(user, rng), _say(lead, rng) + (" " if lead else "") + rng.choice(rows("jokes"))[0]


def _riddle(rng: random.Random) -> Exchange:
    user = "[Tell me a riddle.|Do you know a riddle?|Give me a riddle.|Ask me a riddle.]"
    riddle, answer = rng.choice(rows("riddles"))
    return _say(user, rng), f"{riddle} The answer is {answer}."


def joined(parts: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]

"""Topics: hand-written trees of exchanges, read from the text files in `topics/`.

Format, one topic after another in a file, indentation by two spaces marks a follow-up:

    = weather
    u What's the weather like? ; How is the weather [today|]?
    a I can't look outside. Is it sunny where you are?
      u Yes, it's sunny. ; [Yes|Yep]
      a Lovely! Will you go out?

`u` and `a` lines hold alternatives divided by ` ; `; several such lines of one exchange add up.
Every follow-up must make sense after every answer of its parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

TOPICS = Path(__file__).with_name("topics")


@dataclass(slots=True)
class Exchange:
    """One user turn with its possible wordings and answers, and what may follow."""

    users: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    follow_ups: list[Exchange] = field(default_factory=list)


@dataclass(slots=True)
class Topic:
    """A named subject with the exchanges that may open it."""

    name: str
    openings: list[Exchange]


class TopicError(ValueError):
    """A topic file is not in the documented form; the message names file and line."""


@cache
def all_topics() -> tuple[Topic, ...]:
    """Every topic of every file, in file and line order."""
    return tuple(topic for path in sorted(TOPICS.glob("*.txt")) for topic in parse(path.read_text("utf-8"), path.name))


def parse(text: str, source: str = "topic text") -> list[Topic]:
    """Read topics from text in the format above."""
    topics: list[Topic] = []
    stack: list[Exchange] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        where = f"{source}:{number}"
        if not line or line.startswith("#"):
            continue
        if line.startswith("= "):
            topics.append(Topic(line[2:], []))
            stack = []
        elif not topics or line[:2] not in ("u ", "a "):
            raise TopicError(f'{where}: expected "= name", "u ..." or "a ...", got {line!r}')
        else:
            _add(topics[-1], stack, raw, where)
    for topic in topics:
        for exchange in every_exchange(topic):
            if not exchange.answers:
                raise TopicError(f"{source}: topic {topic.name!r}: {exchange.users[0]!r} has no answer")
    return topics


def every_exchange(topic: Topic) -> Iterator[Exchange]:
    """All exchanges of a topic, follow-ups included."""
    waiting = list(topic.openings)
    while waiting:
        exchange = waiting.pop()
        waiting.extend(exchange.follow_ups)
        yield exchange


def _add(topic: Topic, stack: list[Exchange], raw: str, where: str) -> None:
    depth = (len(raw) - len(raw.lstrip(" "))) // 2
    kind, body = raw.strip()[0], raw.strip()[2:]
    alternatives = [part.strip() for part in body.split(" ; ") if part.strip()]
    if depth > len(stack):
        raise TopicError(f"{where}: indented too far")
    is_new = kind == "u" and (depth == len(stack) or bool(stack[depth].answers))
    if is_new:
        del stack[depth:]
        exchange = Exchange()
        (stack[-1].follow_ups if stack else topic.openings).append(exchange)
        stack.append(exchange)
    del stack[depth + 1 :]
    if not stack:
        raise TopicError(f"{where}: an answer before any user turn")
    (stack[depth].users if kind == "u" else stack[depth].answers).extend(alternatives)

"""What the replies come to: shares of right ones, of those that ended by themselves, and how varied they are. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adapters.evaluation.question import QuestionSet, group_of
from adapters.evaluation.replies import Reply

_WORD = re.compile(r"[\w']+")
_CONTROL = re.compile(r"<\|\w*")
_SHOWN_MISSES = 2


@dataclass(frozen=True, slots=True)
class Miss:
    """A question that was not answered right."""

    set: str
    asked: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a model, or of a model with one adapter."""

    right: Mapping[str, float | None]
    """Share of right replies by set of questions; None for a set of which no question was asked."""
    stops_itself: float | None
    control_tokens: int
    """Replies that hold a control token as text."""
    distinct_1: float
    distinct_2: float
    """Different words and word pairs per word and word pair of all replies (Li et al. 2016)."""
    misses: Sequence[Miss]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"right": dict(self.right)}


def figures(sets: Sequence[QuestionSet], answered: Sequence[Sequence[Reply]]) -> Figures:
    """Return the figures of these sets with their replies."""
    every = [reply for replies in answered for reply in replies]
    texts = [reply.text for reply in every]
    return Figures(
        right={each.name: _share(_marks(each, replies)) for each, replies in zip(sets, answered, strict=True)},
        stops_itself=_share([reply.has_stopped for reply in every]),
        control_tokens=sum(_CONTROL.search(text) is not None for text in texts),
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        misses=[miss for each, replies in zip(sets, answered, strict=True) for miss in _misses(each, replies)],
    )


def by_group(right: Mapping[str, float | None]) -> dict[str, float]:
    """Return the mean over the sets of each group, such as all distances and wordings of `recall`.

    Sets of which nothing was asked do not count, nor does a group that has no others.
    """
    groups: dict[str, list[float]] = {}
    for name, share in right.items():
        if share is not None:
            groups.setdefault(group_of(name), []).append(share)
    return {group: round(sum(shares) / len(shares), 4) for group, shares in groups.items()}


def distinct(texts: Sequence[str], size: int) -> float:
    """Return how many of all word groups of this size are different ones, 0 to 1."""
    words = [_WORD.findall(text.lower()) for text in texts]
    groups = [tuple(each[at : at + size]) for each in words for at in range(len(each) - size + 1)]
    return round(len(set(groups)) / max(1, len(groups)), 4)


def _marks(each: QuestionSet, replies: Sequence[Reply]) -> list[bool]:
    return [question.is_right(reply.text) for question, reply in zip(each.questions, replies, strict=True)]


def _misses(each: QuestionSet, replies: Sequence[Reply]) -> list[Miss]:
    wrong = [
        Miss(each.name, question.chat[-1].text, question.wanted, reply.text)
        for question, reply, is_right in zip(each.questions, replies, _marks(each, replies), strict=True)
        if not is_right
    ]
    return wrong[:_SHOWN_MISSES]


def _share(marks: Sequence[bool]) -> float | None:
    return round(sum(marks) / len(marks), 4) if marks else None

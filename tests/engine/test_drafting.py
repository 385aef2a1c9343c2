"""Drafts come while they are measured to pay, and never where they could change a reply."""

from dataclasses import dataclass, field

from chatbot.engine.drafting import STEPS_AFTER_FAILURE, Drafter, Drafting

END = 99
QUOTE = list(range(10, 40))


@dataclass(eq=False)
class Row:
    """A reply that says `text`, of which `reply` is said already."""

    prompt: list[int]
    text: list[int]
    reply: list[int]
    max_tokens: int = 1000
    drafter: Drafter | None = field(default=None)


def _quoting() -> Row:
    return Row([1, *QUOTE, 2], QUOTE, QUOTE[:2])


class Engine:
    """Steps of one row on a clock of our own: a plain one takes a second, one with drafts `jump + slope * drafts`."""

    def __init__(self, jump: float, slope: float) -> None:
        self.jump, self.slope = jump, slope
        self.drafting = Drafting(frozenset({END}))

    def step(self, row: Row) -> int:
        """Let the row say its next tokens and return how many were drafted."""
        draft = self.drafting.drafts([row]).get(row, [])
        coming = row.text[len(row.reply) :]
        right = next((i for i, (a, b) in enumerate(zip(draft, coming, strict=False)) if a != b), len(draft))
        row.reply = row.text[: len(row.reply) + right + 1]
        self.drafting.note(1, len(draft), self.jump + self.slope * len(draft) if draft else 1.0)
        return len(draft)

    def steps(self, row: Row) -> list[int]:
        """Return what was drafted in each step up to the end of the text."""
        drafted = []
        while len(row.reply) < len(row.text):
            drafted.append(self.step(row))
        return drafted


def test_a_quote_takes_fewer_steps_once_a_plain_one_was_measured() -> None:
    engine = Engine(1.2, 0.05)
    drafted = engine.steps(_quoting())
    assert drafted[0] == 0
    assert len(drafted) < 10


def test_small_talk_is_left_alone() -> None:
    engine = Engine(1.2, 0.05)
    talk = [7, 8, *(token for i in range(100) for token in (7, 8, 100 + i))]
    drafted = engine.steps(Row([7, 8, 3], talk, talk[:1]))
    assert sum(map(bool, drafted)) < 10


def test_where_steps_with_drafts_are_slow_drafts_cease_and_are_tried_again_now_and_then() -> None:
    engine = Engine(20.0, 1.0)
    tried = [any(engine.steps(_quoting())) for _ in range(60)]
    assert 2 < sum(tried) < 30
    engine.jump, engine.slope = 1.0, 0.0
    for _ in range(60):
        last = engine.steps(_quoting())
    assert sum(last) > 20


def test_a_draft_ends_before_what_ends_a_reply() -> None:
    drafter = Drafter([1, 2, 3, END, 4, 1, 2])
    assert drafter.draft(4, frozenset({END})) == [3]
    assert drafter.draft(4, frozenset()) == [3, END, 4, 1]


def test_a_draft_leaves_room_for_the_token_after_it() -> None:
    engine = Engine(1.0, 0.0)
    for room, most in ((4, 3), (2, 1), (1, 0)):
        row = _quoting()
        engine.drafting.note(1, 0, 1.0)
        row.max_tokens = len(row.reply) + room
        assert len(engine.drafting.drafts([row]).get(row, [])) == most


def test_a_quote_that_begins_in_the_middle_of_talk_is_noticed_without_a_draft() -> None:
    drafter = Drafter([*QUOTE, 1, 2, 3, 1, 2, 4])
    drafter.follow([1, 2, 5, 1, 2, 6, 1, 2, 7])
    doubtful = drafter.chance
    drafter.follow([1, 2, 5, 1, 2, 6, 1, 2, 7, *QUOTE[:9]])
    assert doubtful < 0.3
    assert drafter.chance > 0.7


def test_after_a_failure_there_are_no_drafts_for_a_while() -> None:
    engine = Engine(1.0, 0.0)
    engine.drafting.note(1, 0, 1.0)
    assert engine.drafting.drafts([_quoting()])
    engine.drafting.pause()
    drafted = [engine.step(_quoting()) for _ in range(STEPS_AFTER_FAILURE + 1)]
    assert not any(drafted[:-1])
    assert drafted[-1]

"""Plain questions with certain answers, written by hand for the evaluation alone: no grammar of the recipes has them.

`knowledge.txt` has a question and its accepted answers on each line. Some of it a tiny model cannot know.
"""

import random
from functools import cache
from pathlib import Path

from adapters.evaluation.question import Question, QuestionSet, holds
from adapters.recipes.dialogues.personas import DEFAULT_SYSTEM
from chatbot.engine.base import ChatMessage

_FILE = Path(__file__).with_name("knowledge.txt")


def knowledge_questions(count: int) -> QuestionSet:
    """Return as many of the written questions as are asked for, or all of them, in a fixed shuffled order."""
    questions = list(_written())
    random.Random("knowledge").shuffle(questions)
    return QuestionSet("knowledge", tuple(questions[:count]))


@cache
def _written() -> tuple[Question, ...]:
    lines = _FILE.read_text("utf-8").splitlines()
    return tuple(_question(line) for line in lines if line and not line.startswith("#"))


def _question(line: str) -> Question:
    asked, answers = line.split(" | ")
    wanted = answers.split("; ")
    chat = (ChatMessage("system", DEFAULT_SYSTEM), ChatMessage("user", asked))
    return Question(chat, holds(wanted), " or ".join(wanted))

"""How a tutor would say what the assistant says: briefly, sometimes with praise, and with a question back.

The question fits what is talked about; the one with which the base's answer ends is kept only where it takes up what
the user said, or where the subject asks for care.
"""

import random
import re
from pathlib import Path

from adapters.recipes.personas.deck import Deck
from adapters.recipes.personas.retold import Tell, Voice
from adapters.recipes.personas.sentences import echoes, is_question, parted, tells
from adapters.recipes.personas.subjects import GENERAL, Subject, subject_of

HERE = Path(__file__).resolve().parent
PRAISED_SHARE = 0.35
FOR_A_QUESTION = ("Good question!", "Well asked!", "A fine question!", "I like that question.", "Clever of you to ask.")
FOR_A_STATEMENT = ("Good to know.", "Well said!", "Thank you for sharing.", "I am glad you told me.", "Nicely put!")
UNPRAISED = frozenset({"hello", "bye", "thanks", "morning", "identity", "talk", "general"})
"""Subjects of mere courtesy, where praise would sound odd."""
FOR_A_SORROW = ("I hear you.", "I am with you.", "Take your time.")
WHOLE = frozenset({"story", "joke"})
"""Subjects whose answers lose their sense when shortened."""
ORDERS = "tell|give|name|count|say|calculate|ask|let|make|write|sing|repeat|remind|guess"
ORDER = re.compile(rf"\W*(?:(?:please|now|hey|ok|okay|well|so|and)\W+)*(?:{ORDERS})\b")
"""Begins what is neither a question nor something told."""


def start() -> Tell:
    """Return the tutor's way of answering, with all its questions unused."""
    questions = Deck(HERE / "tutor_questions.txt")

    def asking_back(asked: str, answer: str, rng: random.Random) -> str:
        subject = subject_of(asked, answer)
        told, own = parted(answer)
        said = told if subject.is_careful or subject.name in WHOLE else _shortened(told, asked)
        praise = _praise(asked, said, subject, rng)
        is_own = bool(own) and (not told or subject.is_careful or echoes(own, asked))
        question = own if is_own else questions.deal((subject if subject.name in questions else GENERAL).name, rng)
        return " ".join([*praise, *said, question])

    return asking_back


def _shortened(told: list[str], asked: str) -> list[str]:
    """Return the sentences up to the first that tells something, and those that take up what the user said."""
    end = next((index for index, sentence in enumerate(told) if tells(sentence)), len(told))
    return [sentence for index, sentence in enumerate(told) if index <= end or echoes(sentence, asked)]


def _praise(asked: str, said: list[str], subject: Subject, rng: random.Random) -> list[str]:
    """Return a sentence of praise or none; one always where the answer was nothing but a question."""
    is_apt = not subject.is_careful and subject.name not in UNPRAISED
    is_order = bool(ORDER.match(asked.lower()))
    if said and (not is_apt or is_order or not tells(said[0]) or rng.random() >= PRAISED_SHARE):
        return []
    if subject.is_careful:
        return [rng.choice(FOR_A_SORROW)]
    return [rng.choice(FOR_A_QUESTION if is_question(asked) else FOR_A_STATEMENT)]


TUTOR = Voice("tutor", "Mr. Abel", start)

"""How a poet would say what the assistant says: the answer, and a line or two of verse that go with it.

Where the answer's last word has a common sound, one line rhymes with it; elsewhere a couplet on the subject follows.
" / " parts the lines.
"""

import random
import re
from pathlib import Path

from adapters.recipes.personas.deck import Deck
from adapters.recipes.personas.retold import Tell, Voice
from adapters.recipes.personas.rhyme import last_word, sounds
from adapters.recipes.personas.sentences import echoes, parted, words
from adapters.recipes.personas.subjects import GENERAL, Subject, subject_of

HERE = Path(__file__).resolve().parent
LINE = " / "
RHYMED_SHARE = 0.15
MIN_RHYMED_WORDS = 3
"""Shorter answers are too slight for one half of a rhyme."""
MAX_RHYMED_WORDS = 14
SELF = re.compile(r"\b(?:friendly assistant|(?:little|small) (?:chat )?program|computer program)\b")


def start() -> Tell:
    """Return the poet's way of answering, with all its lines unused."""
    rhyming, couplets = Deck(HERE / "poet_rhymes.txt"), Deck(HERE / "poet_couplets.txt")

    def in_verse(asked: str, answer: str, rng: random.Random) -> str:
        subject = subject_of(asked, answer)
        kept = SELF.sub("little poet", _without_question(asked, answer))
        line = _rhyming_line(kept, subject, rhyming, rng)
        if line:
            return _joined(kept, line)
        return kept + LINE + couplets.deal((subject if subject.name in couplets else GENERAL).name, rng)

    return in_verse


def _without_question(asked: str, answer: str) -> str:
    """Return the answer without the question that closes it, unless that takes up what the user said."""
    told, question = parted(answer)
    return " ".join(told) if told and not echoes(question, asked) else answer


def _rhyming_line(kept: str, subject: Subject, rhyming: Deck, rng: random.Random) -> str:
    """Return a line that rhymes with the end of the answer; empty where there is none or a couplet is better."""
    word = last_word(kept)
    sound = sounds().get(word, "")
    is_fit = kept[-1] in ".!" and MIN_RHYMED_WORDS <= len(words(kept)) <= MAX_RHYMED_WORDS
    if subject.is_careful or not is_fit or sound not in rhyming or rng.random() >= RHYMED_SHARE:
        return ""
    return rhyming.deal(sound, rng, lambda line: last_word(line) != word)


def _joined(kept: str, line: str) -> str:
    """Return the answer and its rhyme as one sentence where the answer ends with a full stop."""
    if kept.endswith("."):
        return kept[:-1] + "," + LINE + line
    return kept + LINE + line[0].upper() + line[1:]


POET = Voice("poet", "Wren", start)

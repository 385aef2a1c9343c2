"""What each step of each stage learns from.

A batch depends on the mixture, the stage, its being late and the step alone, so a resumed run sees exactly what an
unbroken run would have seen, with no reader position to save.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from adapters.recipes.base.corpus import Corpus
from adapters.recipes.base.documents import Document, Encoder
from adapters.recipes.base.drills import drill
from adapters.recipes.base.rows import Batch, pack
from adapters.recipes.base.tokenizer import CONTEXT
from adapters.recipes.dialogues.dialogue import listening, make, remembering
from adapters.recipes.dialogues.personas import DEFAULT_SYSTEM

Stage = Literal["language", "chat"]
Source = Literal["dialogue", "listening", "text", "chat", "drill"]

_DRILL_TOKENS = 256
# Words a dialogue may have so that it fits rows of so many tokens (about 1.35 tokens a word and the marks).
_WORDS_FOR = {256: (50, 90, 120), 512: (180, 240), 1024: (300, 480)}
# Of 100 documents of a stage; what a corpus that was left out would give comes from the own dialogues.
_SHARES: dict[Stage, dict[Source, int]] = {
    "language": {"dialogue": 42, "text": 46, "drill": 12},
    "chat": {"dialogue": 74, "listening": 12, "text": 4, "chat": 4, "drill": 6},
}


@dataclass(frozen=True, slots=True)
class Mixture:
    """Corpus and own dialogues, served as batches of about `tokens` token places."""

    encoder: Encoder
    corpus: Corpus
    seed: int
    tokens: int
    pad: int
    is_one_row: bool = False
    """Whether a batch is one row of documents of all lengths, for attention that keeps them apart by itself."""
    remembering: float = 0.0
    """Share of the own dialogues that are nothing but remembering."""

    def batch(self, stage: Stage, step: int, *, is_late: bool = False) -> Batch:
        """The batch of this step; late chat steps also hold dialogues as long as the context."""
        rng = random.Random(f"{self.seed}:{stage}:{step}")
        if self.is_one_row:
            return pack(self._mixed(stage, rng, is_late), rows=1, length=self.tokens, pad=self.pad)
        length = min(_length(stage, rng, is_late), self.tokens)
        rows = max(1, self.tokens // length)
        return pack(self._documents(stage, length, rng), rows=rows, length=length, pad=self.pad)

    def _mixed(self, stage: Stage, rng: random.Random, is_late: bool) -> Iterator[Document]:
        while True:
            yield next(self._documents(stage, _length(stage, rng, is_late), rng))

    def _documents(self, stage: Stage, length: int, rng: random.Random) -> Iterator[Document]:
        while True:
            document = self._document(stage, length, rng)
            if len(document) <= length:
                yield document

    def _document(self, stage: Stage, length: int, rng: random.Random) -> Document:
        shares = _SHARES[stage]
        source = rng.choices(list(shares), list(shares.values()))[0]
        if source == "drill":
            return drill(rng, self.encoder.vocab, min(length, _DRILL_TOKENS))
        if source == "text" and self.corpus.texts:
            return self.encoder.text(self.corpus.draw_text(rng))
        if source == "chat" and self.corpus.chats:
            system = [{"role": "system", "content": DEFAULT_SYSTEM}] if rng.random() < 0.6 else []
            return self.encoder.dialogue(system + self.corpus.draw_chat(rng))
        fitting = _WORDS_FOR[min((size for size in _WORDS_FOR if size >= length), default=CONTEXT)]
        words = rng.choice(fitting)
        if source == "listening" and self.corpus.has_talks:
            return self.encoder.dialogue(listening(rng, words, self.corpus.draw_sentence).messages)
        written = remembering if self.remembering and rng.random() < self.remembering else make
        dialogue = written(rng, words)
        return self.encoder.dialogue(dialogue.messages, dialogue.values, learns_all=stage == "language")


def _length(stage: Stage, rng: random.Random, is_late: bool) -> int:
    """The longest that a document of this row may be, in tokens."""
    if stage == "language":
        return 256
    return rng.choices((256, 512, CONTEXT), (45, 35, 20) if is_late else (65, 30, 5))[0]

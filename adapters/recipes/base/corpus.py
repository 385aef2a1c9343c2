"""The public texts of the language stage, read from a folder, cut into documents, and drawn by share.

A folder may lack any of the sources, or all of them: the recipe then learns from own dialogues alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.recipes.dialogues.talk import Message

# Share of the language stage's corpus tokens per source; small simple texts first, one pass or so each.
TEXT_SHARES = {
    "tinystories_bits.txt": 24,
    "storybooks_ccby.txt": 8,
    "common_voice_sentences.txt": 8,
    "fairytale_stories.txt": 4,
    "classics_children.txt": 6,
    "wikipedia_easy.txt": 6,
    "spc.jsonl": 12,
    "spc_swapped.jsonl": 8,
    "convai2_valid.jsonl": 6,
    "self_dialogue.jsonl": 6,
    "fairytaleqa.jsonl": 2,
    "wordset_definitions.jsonl": 3,
    "personality_chat_multi.jsonl": 7,
    "tatoeba_en_fra.jsonl": 10,
    "tatoeba_en_spa.jsonl": 10,
}
# Sets whose assistant turns keep to an assistant's voice, for a small share of the chat stage.
CHAT_SHARES = {"personality_chat_multi.jsonl": 3, "smalltalk_aggm.jsonl": 1}
_HUMAN_TALKS = ("self_dialogue.jsonl", "convai2_valid.jsonl", "spc.jsonl")
_FRIENDLY = "You are a friendly, warm and relaxed assistant."
_CLAIMS = re.compile(
    r"\b(my (wife|husband|mother|father|mom|dad|house|dog|cat|kids?|brother|sister|job|car)|ouija|beer|sex\w*|drunk)\b",
    re.IGNORECASE,
)
_PIECE_CHARACTERS = 700
_FIRST_SHARED_TURN = {"spc.jsonl": 1, "spc_swapped.jsonl": 0}
"""Where the same talk stands in two sources, the turn with which what they share begins; talks go to one side whole."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts and chats by source, with a seeded draw."""

    texts: dict[str, list[str]]
    chats: dict[str, list[list[Message]]]

    @classmethod
    def read(cls, folder: Path | None, *, held_out: bool = False) -> Corpus:
        """Everything of the two share tables that the folder holds: what is trained on, or the held-out rest."""
        if folder is None:
            return cls({}, {})
        if not folder.is_dir():
            raise FileNotFoundError(f"corpus folder {folder} does not exist")
        return cls(
            {name: list(_texts(folder, name, held_out=held_out)) for name in TEXT_SHARES if _find(folder, name)},
            {name: list(_chats(folder, name, held_out=held_out)) for name in CHAT_SHARES if _find(folder, name)},
        )

    def sizes(self) -> dict[str, int]:
        """How many texts or chats there are of each source."""
        return {name: len(each) for kind in (self.texts, self.chats) for name, each in kind.items()}

    @property
    def has_talks(self) -> bool:
        """Whether there are sentences to draw."""
        return any(name in self.texts for name in _HUMAN_TALKS)

    def draw_text(self, rng: random.Random) -> str:
        """One text, its source by share."""
        name = rng.choices(list(self.texts), [TEXT_SHARES[name] for name in self.texts])[0]
        return rng.choice(self.texts[name])

    def draw_chat(self, rng: random.Random) -> list[Message]:
        """One chat in an assistant's voice."""
        name = rng.choices(list(self.chats), [CHAT_SHARES[name] for name in self.chats])[0]
        return rng.choice(self.chats[name])

    def draw_sentence(self, rng: random.Random) -> str:
        """One line that a human said to another, from the sources of such talks that there are."""
        name = rng.choice([name for name in _HUMAN_TALKS if name in self.texts])
        return rng.choice(rng.choice(self.texts[name]).splitlines())


def is_held_out(text: str) -> bool:
    """Whether a text belongs to the two in a hundred that no training sees, told by a hash of its first line.

    The first line of a translation pair is its source, so all translations of a sentence are on one side.
    """
    first_line = text.partition("\n")[0].strip().lower()
    return hashlib.sha256(first_line.encode()).digest()[0] < 256 // 50


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.zst") if path.is_file()), None)


def _lines(folder: Path, name: str) -> Iterator[str]:
    path = _find(folder, name)
    assert path is not None
    if path.suffix != ".zst":
        with path.open(encoding="utf-8") as lines:
            yield from lines
        return
    import zstandard  # only needed for a compressed corpus

    with path.open("rb") as raw:
        yield from io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")


def _texts(folder: Path, name: str, *, held_out: bool) -> Iterator[str]:
    """The pieces of one file that are trained on, or those held out; of some talks all are on one side."""
    shared = _FIRST_SHARED_TURN.get(name)
    for lines in _documents(folder, name):
        told_by = None if shared is None else "".join(lines[shared : shared + 1])
        yield from (text for text in _pieces(lines) if is_held_out(told_by or text) is held_out)


def _documents(folder: Path, name: str) -> Iterator[list[str]]:
    if not name.endswith(".jsonl"):
        return blocks_of(folder, name)
    return ([m["content"] for m in messages if m["role"] != "system"] for messages in messages_of(folder, name))


def blocks_of(folder: Path, name: str) -> Iterator[list[str]]:
    """The texts of one file of the corpus, as lines; an empty line stands between two. Raises FileNotFoundError."""
    if _find(folder, name) is None:
        raise FileNotFoundError(f"corpus folder {folder} has neither {name} nor {name}.zst")
    block: list[str] = []
    for line in [*_lines(folder, name), ""]:
        if line.strip():
            block.append(line.strip())
        elif block:
            yield block
            block = []


def _pieces(lines: list[str]) -> Iterator[str]:
    """Lines joined to pieces of bounded length."""
    piece = ""
    for line in lines:
        if piece and len(piece) + len(line) > _PIECE_CHARACTERS:
            yield piece
            piece = ""
        piece += ("\n" if piece else "") + line[:_PIECE_CHARACTERS]
    if piece:
        yield piece


def _chats(folder: Path, name: str, *, held_out: bool) -> Iterator[list[Message]]:
    for messages in messages_of(folder, name):
        if messages[0]["role"] == "system":
            if messages[0]["content"] != _FRIENDLY:
                continue
            messages = messages[1:]
        has_claims = any(_CLAIMS.search(m["content"]) for m in messages if m["role"] == "assistant")
        if not has_claims and is_held_out(messages[0]["content"]) is held_out:
            yield messages


def messages_of(folder: Path, name: str) -> Iterator[list[Message]]:
    """The dialogues of one file of the corpus. Raises FileNotFoundError."""
    if _find(folder, name) is None:
        raise FileNotFoundError(f"corpus folder {folder} has neither {name} nor {name}.zst")
    for line in _lines(folder, name):
        messages: list[Message] = json.loads(line)["messages"]
        yield messages

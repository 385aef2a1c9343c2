"""The training chats of a persona: hand-written ones, recall chats of hand-written parts, and the base's own, retold.

The hand-written chats and those of its own kind (a poet's poems) teach the voice and who the persona is, the recall
chats teach it to use what it was told, and the base model's own dialogues in the persona's voice keep the answers that
the small model already knows.
"""

import json
import lzma
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from adapters.recipes.personas.recall import read_facts, recall_chats
from adapters.recipes.personas.retold import NOW, Voice, retold_chats
from adapters.recipes.personas.turns import Turns
from adapters.recipes.personas.voices import is_measured

PARTS = Path(__file__).resolve().parent
RECALL_SEED = 7
RECALL_CHATS = 220
RETOLD_CHATS = 3000
TURN = " > "


def write(path: Path, chats: Iterable[Turns]) -> int:
    """Write chats as compressed lines of OpenAI messages, and return how many they are."""
    lines = [as_line(turns) for turns in chats]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress("".join(lines).encode(), preset=9))
    return len(lines)


def chats(voice: Voice) -> Iterator[Turns]:
    """Yield every chat of the persona, turn by turn, the user first; the same for the same parts.

    None has a prompt on which the voice is measured, so that no answer to one is learned by heart.
    """
    return (turns for turns in _written(voice) if not has_prompt(voice.name, turns))


def has_prompt(persona: str, turns: Turns) -> bool:
    """Tell whether the user says one of the persona's fixed prompts, be it with recalled messages before it."""
    return any(is_measured(persona, said.rpartition(NOW)[2]) for said in turns[::2])


def _written(voice: Voice) -> Iterator[Turns]:
    filler = hand_written(_part(f"{voice.name}_filler"))
    facts = read_facts(_part(f"{voice.name}_recall"))
    yield from hand_written(_part(voice.name))
    yield from voice.own_chats()
    yield from recall_chats(RECALL_CHATS, filler, facts, random.Random(RECALL_SEED))
    yield from retold_chats(RETOLD_CHATS, voice)


def hand_written(text: str) -> list[Turns]:
    """Return the chats of a text file, turn by turn; lines that begin with # are comments."""
    return [line.split(TURN) for line in text.splitlines() if line and not line.startswith("#")]


def as_line(turns: Turns) -> str:
    """Return a chat as one line of OpenAI messages."""
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(turns)]
    return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def _part(name: str) -> str:
    return (PARTS / f"{name}.txt").read_text(encoding="utf-8")

"""What words mean, as far as their company tells it: vectors by which a question finds a statement in other words.

A text is the sum of its words' vectors. Little words count for nothing, those that ask ("where", "who") for something.
`adapters/recipes/meaning` makes the file; its card says from which texts.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from storage.folding import fold

_FOLDER = Path(__file__).parents[1] / "word_vectors"
_FILE = "vectors.safetensors"
_LITTLE_WORDS = """
    a about after again all also am an and any are as at back be been before but by can could did do does done during
    each else ever every for from get give go got had has have he hello her here hey hi him his how i if in into is it
    its just know let like ll look m make many maybe me mention might mine more most much must my name no not now of off
    oh ok okay on once one only or other our out over please pls re really recall remember remind s said same say she
    should so some still such sure t talk tell than thank thanks that the their them then there these they this those to
    too told up us ve very want was we well were what when where which while who whom whose why will with would yeah yes
    you your
"""
STOP_WORDS = frozenset(_LITTLE_WORDS.split())
"""What is not looked for by its letters."""
SAY_NOTHING = STOP_WORDS - {"how", "what", "when", "where", "which", "who", "whose", "why"}
"""What has no vector."""
_ACCENTS = re.compile(r"[\u0300-\u036f]+")
_MARKS = "".join(sign for sign in map(chr, range(0x300, 0x2000)) if unicodedata.category(sign).startswith("M"))
"""What belongs to a letter in Hindi, Tamil or Hebrew, and is none itself."""
_WORD = re.compile(rf"[\w{_MARKS}]+")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3041-\u30fa\u30fc-\u30ff\u3400-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: their words stand side by side."""
Vector = npt.NDArray[np.float32]


def words_of(text: str) -> list[str]:
    """The words of a text, folded and without accents; of writing without spaces, each pair of characters."""
    plain = fold(_ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
    return _WORD.findall(_UNSPACED.sub(_pairs, plain).replace("_", " "))


def direction(text: str) -> Vector:
    """Where the words of a text point, of length 1; of length 0 where none is known."""
    numbers, vectors = _known()
    rows = [numbers[word] for word in words_of(text) if word in numbers]
    total: Vector = vectors[rows].sum(axis=0, dtype=np.float32)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length, np.float32) if length else total


def size() -> int:
    """How many numbers a direction has."""
    return int(_known()[1].shape[1])


def write(folder: Path, words: Sequence[str], vectors: Vector) -> Path:
    """Write the file, each number as one byte: only directions and relative lengths matter."""
    folder.mkdir(parents=True, exist_ok=True)
    rounded = np.round(vectors * (127 / np.abs(vectors).max())).astype(np.int8)
    text = np.frombuffer("\n".join(words).encode(), np.uint8)
    save_file({"vectors": rounded, "words": text}, folder / _FILE)
    return folder / _FILE


def _pairs(run: re.Match[str]) -> str:
    """Characters in a row as words of two, apart from what stands beside them."""
    characters = run[0]
    return f" {' '.join(map(''.join, pairwise(characters))) or characters} "


@cache
def _known() -> tuple[dict[str, int], npt.NDArray[np.int8]]:
    file = load_file(_FOLDER / _FILE)
    words = file["words"].tobytes().decode().split("\n")
    return {word: number for number, word in enumerate(words)}, file["vectors"]

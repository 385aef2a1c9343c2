"""The translator's chats, from the Tatoeba pairs of a corpus: `python -m adapters.recipes.personas.translator`.

The pairs (Tatoeba, CC BY 2.0) are not part of this repository; the folder with `tatoeba_en_fra.jsonl` and
`tatoeba_en_spa.jsonl`, or their `.zst`, is given with --corpus. Simple pairs are chosen: short, of common words, one
translation for a sentence, none of a sentence that a fixed prompt asks for. The base's own dialogues are mixed in so
that the adapter can still talk. Test pairs are of the part of the corpus that no training of the base sees, and have no
near duplicate among the training pairs.
"""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from adapters.recipes.base.corpus import is_held_out, messages_of
from adapters.recipes.personas.chats import as_line, write
from adapters.recipes.personas.retold import Voice, retold_chats
from adapters.recipes.personas.sentences import words
from adapters.recipes.personas.turns import Turns
from adapters.recipes.personas.voices import prompts

FRAMES = Path(__file__).with_name("translator.txt")
LANGUAGES = {"French": "tatoeba_en_fra.jsonl", "Spanish": "tatoeba_en_spa.jsonl"}
COMMON_WORDS = 1500
MOST_WORDS = 7
TRAINING_PAIRS = 7000
TEST_PAIRS = 200
PLAIN_CHATS = 3000
NEAR = 0.75
"""Share of words in common above which two sentences are near duplicates."""
SEED = 13
WORD = re.compile(r"[a-z']+")
TRANSLATOR = Voice("translator", "Paloma", lambda: lambda asked, answer, rng: answer)


@dataclass(frozen=True, slots=True)
class Pair:
    """An English sentence with its translation."""

    english: str
    translation: str
    language: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Write data.jsonl.xz and test.jsonl."""
    parser = argparse.ArgumentParser(prog="python -m adapters.recipes.personas.translator", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with the Tatoeba pairs")
    parser.add_argument("--out", type=Path, required=True, help="folder for data.jsonl.xz and test.jsonl")
    chosen = parser.parse_args(arguments)
    rng = random.Random(SEED)
    training, test = split(simple_pairs(chosen.corpus, rng))
    count = write(chosen.out / "data.jsonl.xz", chats(training, rng))
    (chosen.out / "test.jsonl").write_text("".join(_test_line(pair, rng) for pair in test), "utf-8")
    print(f"{chosen.out}: {count} chats, {len(test)} test pairs")


def simple_pairs(corpus: Path, rng: random.Random) -> list[Pair]:
    """Return the simple pairs of both languages, shuffled, one for each sentence and language."""
    every = [pair for language, file in LANGUAGES.items() for pair in _read(corpus, language, file)]
    counts = Counter(word for pair in every for word in WORD.findall(pair.english.lower()))
    common = {word for word, _ in counts.most_common(COMMON_WORDS)}
    simple = {(pair.english, pair.language): pair for pair in reversed(every) if _is_simple(pair, common)}
    found = sorted(simple.values(), key=lambda pair: (pair.language, pair.english))
    rng.shuffle(found)
    return found


def split(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return training pairs and test pairs, so many of each language; no prompt asks for one of the former."""
    training = _first_of_each(
        [pair for pair in pairs if not (is_held_out(pair.english) or is_asked_for(pair))], TRAINING_PAIRS
    )
    known = [set(WORD.findall(pair.english.lower())) for pair in training]
    unseen = (pair for pair in pairs if is_held_out(pair.english))
    return training, _first_of_each([pair for pair in unseen if not _is_near(pair, known)], TEST_PAIRS)


def is_asked_for(pair: Pair) -> bool:
    """Tell whether one of the fixed prompts has the words of the English sentence."""
    sentence = f" {' '.join(words(pair.english))} "
    return any(sentence in f" {' '.join(words(prompt))} " for prompt in prompts(TRANSLATOR.name))


def chats(training: Sequence[Pair], rng: random.Random) -> Iterator[Turns]:
    """Yield the training chats: one to three translations each, with the base's own dialogues between."""
    asked = iter(training)
    translated = []
    while pairs := list(islice(asked, rng.choice((1, 1, 2, 3)))):
        translated.append([text for pair in pairs for text in (framed(pair, rng), pair.translation)])
    for chat, plain in zip_longest(translated, retold_chats(PLAIN_CHATS, TRANSLATOR)):
        yield from (turns for turns in (chat, plain) if turns)


def framed(pair: Pair, rng: random.Random) -> str:
    """Return the user's request for a translation."""
    frames = [line for line in FRAMES.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return rng.choice(frames).replace("{language}", pair.language).replace("{text}", pair.english)


def _read(corpus: Path, language: str, file: str) -> Iterator[Pair]:
    for messages in messages_of(corpus, file):
        yield Pair(messages[-2]["content"].strip(), messages[-1]["content"].strip(), language)


def _is_simple(pair: Pair, common: set[str]) -> bool:
    words = WORD.findall(pair.english.lower())
    is_short = 2 <= len(words) <= MOST_WORDS and len(pair.translation.split()) <= MOST_WORDS + 3
    return is_short and all(word in common for word in words) and not any(map(str.isdigit, pair.english))


def _first_of_each(pairs: Sequence[Pair], count: int) -> list[Pair]:
    taken: Counter[str] = Counter()
    chosen = []
    for pair in pairs:
        taken[pair.language] += 1
        if taken[pair.language] <= count:
            chosen.append(pair)
    return chosen


def _is_near(pair: Pair, known: Sequence[set[str]]) -> bool:
    words = set(WORD.findall(pair.english.lower()))
    return any(len(words & other) > NEAR * len(words | other) for other in known)


def _test_line(pair: Pair, rng: random.Random) -> str:
    row = json.loads(as_line([framed(pair, rng), pair.translation])) | {"subset": f"English to {pair.language}"}
    return json.dumps(row, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()

"""`python -m adapters.recipes.meaning --corpus CORPUS --out chatbot/word_vectors`: make the vectors of words anew."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from adapters.recipes.meaning.cooccurrence import start
from adapters.recipes.meaning.learning import average, learnt
from adapters.recipes.meaning.texts import OWN, read
from chatbot.conversation.meaning import SAY_NOTHING, STOP_WORDS, write

_READ_WORDS, _KEPT_WORDS = 16_000, 14_300
_SIZE = 96
_SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the public texts")
    parser.add_argument("--out", type=Path, required=True, help="folder for vectors.safetensors")
    options = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order, the same vectors each time
    words, often, sources = read(options.corpus, _READ_WORDS)
    print(f"{len(words)} words read, {sum(len(s.texts) for s in sources.values())} texts", flush=True)
    plain = np.array([word in STOP_WORDS for word in words])
    begin = start([source for name, source in sources.items() if name != OWN], often, plain, _SIZE)
    print("start made", flush=True)
    vectors = average([learnt(begin, sources, seed) for seed in _SEEDS])
    kept = [n for n, word in enumerate(words) if word not in SAY_NOTHING][:_KEPT_WORDS]
    print(write(options.out, [words[n] for n in kept], vectors[kept]))


if __name__ == "__main__":
    main()

"""Batches made ahead are the batches."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import torch

from adapters.recipes.base.corpus import Corpus
from adapters.recipes.base.documents import Encoder
from adapters.recipes.base.mixture import Mixture
from adapters.recipes.base.prefetch import prefetched
from adapters.recipes.base.tokenizer import train_tokenizer
from adapters.recipes.dialogues import dialogues


def test_other_processes_give_the_same_batches_also_after_the_stage_changed() -> None:
    texts = (message["content"] for dialogue in dialogues(3, 40) for message in dialogue.messages)
    mixture = Mixture(Encoder(train_tokenizer(texts, 400)), Corpus({}, {}), seed=1, tokens=512, pad=0)
    with prefetched(mixture, workers=1) as batches:
        assert torch.equal(batches.batch("language", 0).ids, mixture.batch("language", 0).ids)
        assert torch.equal(batches.batch("chat", 1).ids, mixture.batch("chat", 1).ids)
        assert torch.equal(batches.batch("chat", 2, is_late=True).ids, mixture.batch("chat", 2, is_late=True).ids)


def test_a_killed_run_leaves_no_process_behind(tmp_path: Path) -> None:
    program = """
import os, pickle, signal
from pathlib import Path
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from adapters.recipes.base import prefetch

if __name__ == "__main__":
    shared = Path(__file__).with_name("mixture")
    shared.write_bytes(pickle.dumps(None))
    pool = ProcessPoolExecutor(1, get_context("spawn"), prefetch._adopt, (shared,))
    print(pool.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    script = tmp_path / "run.py"
    script.write_text(program, "utf-8")
    # stdout closes only once the pool's process, which shares it, has ended too: until then run() waits.
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert ended.stdout.strip().isdigit()

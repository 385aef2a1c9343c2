"""`python -m adapters.recipes.base.recall MODEL`: how well a model remembers what it never saw in training.

Greedy replies; a reply is right when it holds the told value. Writes `evaluation.json` into the model folder.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from adapters.recipes.dialogues.probes import Probe, persona_probe, recall_probe, untold_probe

DISTANCES = (1, 2, 3, 5, 8, 12)
_REPLY_TOKENS = 48


def main(arguments: list[str] | None = None) -> None:
    """Evaluate and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m adapters.recipes.base.recall", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=100, help="questions of each kind")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    figures = evaluate(model, tokenizer, options.count)
    (options.model / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    print(json.dumps(figures, indent=1))


def evaluate(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int) -> dict[str, object]:
    """Shares of right replies, and the share of replies that stop by themselves."""
    right: dict[str, float] = {}
    stopped: list[bool] = []
    misses: list[dict[str, object]] = []
    for name, probes in _probe_sets(count).items():
        replies = _replies(model, tokenizer, probes)
        marks = [is_right(probe, reply) for probe, (reply, _) in zip(probes, replies, strict=True)]
        stopped += [ended for _, ended in replies]
        right[name] = round(sum(marks) / len(marks), 3)
        wrong = [(p, r) for p, (r, _), ok in zip(probes, replies, marks, strict=True) if not ok][:2]
        misses += [{"set": name, "asked": p.messages[-1]["content"], "wanted": p.wanted, "got": r} for p, r in wrong]
    return {"count": count, "right": right, "stops_itself": round(sum(stopped) / len(stopped), 3), "misses": misses}


def is_right(probe: Probe, reply: str) -> bool:
    """Whether the reply holds one of the wanted texts, in any case of letters."""
    return any(wanted.lower() in reply.lower() for wanted in probe.wanted)


def _probe_sets(count: int) -> dict[str, list[Probe]]:
    sets: dict[str, list[Probe]] = {}
    for distance in DISTANCES:
        for wording, is_held in (("known wording", False), ("held-out wording", True)):
            name = f"recall, {distance} turns, {wording}"
            rng = random.Random(name)
            sets[name] = [recall_probe(rng, distance, held_wording=is_held) for _ in range(count)]
    rng = random.Random("persona")
    sets["persona name"] = [persona_probe(rng) for _ in range(count)]
    rng = random.Random("untold")
    sets["admits what was not told"] = [untold_probe(rng) for _ in range(count)]
    return sets


@torch.no_grad()
def _replies(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, probes: Sequence[Probe], rows: int = 20
) -> list[tuple[str, bool]]:
    """Greedy replies in batches padded on the left, each with whether it ended by itself."""
    tokenizer.padding_side = "left"
    replies: list[tuple[str, bool]] = []
    for start in range(0, len(probes), rows):
        texts = [
            tokenizer.apply_chat_template(list(probe.messages), add_generation_prompt=True, tokenize=False)
            for probe in probes[start : start + rows]
        ]
        prompt = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        inputs = {"input_ids": prompt["input_ids"], "attention_mask": prompt["attention_mask"]}
        ids = model.generate(
            **inputs, max_new_tokens=_REPLY_TOKENS, do_sample=False, pad_token_id=tokenizer.pad_token_id
        )
        for row in ids[:, prompt["input_ids"].shape[1] :]:
            text = tokenizer.decode(row, skip_special_tokens=True)
            replies.append((text, tokenizer.eos_token_id in row.tolist()))
    return replies


if __name__ == "__main__":
    main()

"""Measures the engine beside its peers: JSON to stdout, tables to stderr; all of it to files where asked."""

import argparse
import asyncio
import importlib.util
import json
import math
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from safetensors import safe_open

from benchmarks.chart import bars
from benchmarks.conditions import conditions
from benchmarks.options import read_options
from benchmarks.random_weights import SHAPES, make_model
from benchmarks.report import markdown, workload_tables
from benchmarks.roofline import limits, one_stream_tokens_per_s
from benchmarks.rounds import Outcome
from benchmarks.workloads.arrivals import long_prompt_arrives
from benchmarks.workloads.bench import Bench
from benchmarks.workloads.history import growing_history
from benchmarks.workloads.personas import mixed_personas
from benchmarks.workloads.revisits import revisits
from benchmarks.workloads.streams import many_streams, one_stream
from chatbot.engine.checkpoint import read_context_tokens
from chatbot.engine.digest import model_digest

WORKLOADS: dict[str, Callable[[Bench], Awaitable[Outcome]]] = {
    "W1": one_stream,
    "W2": many_streams,
    "W3": growing_history,
    "W4": mixed_personas,
    "W5": revisits,
    "W6": long_prompt_arrives,
}


def main() -> None:
    options = read_options(__doc__, WORKLOADS)
    machine = limits(options.threads, options.device)
    result: dict[str, Any] = {"conditions": conditions(options.threads, options.device) | machine, "models": []}
    result["conditions"] |= {"tokens": options.tokens, "rounds": options.rounds}
    for model in options.model:
        with tempfile.TemporaryDirectory() as scratch:
            described, bench = _described(model, Path(scratch), options, machine["read_gb_per_s"])
            result["models"].append(described)
            for name in options.workloads:
                described["workloads"].append(_run(name, bench).as_dict())
                text = json.dumps(result, indent=2) + "\n"
                if options.out:  # by now: a later workload may fail
                    options.out.write_text(text, encoding="utf-8")
    print(text, end="", flush=True)
    print(markdown(result), file=sys.stderr)
    if options.markdown:
        options.markdown.write_text(markdown(result), encoding="utf-8")
    if options.charts:
        _draw(result, options.charts)


def _described(
    model: str, scratch: Path, options: argparse.Namespace, read_gb_per_s: float
) -> tuple[dict[str, Any], Bench]:
    """Return what is known of a model before any workload has run, and what workloads get of it."""
    folder = make_model(scratch / model, SHAPES[model], options.device) if model in SHAPES else Path(model)
    bench = Bench(
        folder,
        scratch,
        device=options.device,
        threads=options.threads,
        rounds=options.rounds,
        tokens=options.tokens,
        context_tokens=min(8192, read_context_tokens(folder)),
        has_llama_cpp=options.device.type == "cpu" and importlib.util.find_spec("llama_cpp") is not None,
    )
    weight_bytes = _weight_bytes(folder)
    described = {
        "name": folder.name,
        "digest": model_digest(folder),
        "parameters": weight_bytes // 2,
        "one_stream_limit_tokens_per_s": round(one_stream_tokens_per_s(weight_bytes, read_gb_per_s), 1),
        "workloads": [],
    }
    return described, bench


def _run(name: str, bench: Bench) -> Outcome:
    print(f"{bench.model.name}: {name}", file=sys.stderr, flush=True)

    async def run() -> Outcome:
        return await WORKLOADS[name](bench)

    outcome = asyncio.run(run())
    print(workload_tables(outcome.as_dict()), file=sys.stderr, flush=True)  # a later workload may fail
    return outcome


def _draw(result: dict[str, Any], folder: Path) -> None:
    """Write a chart of every workload, named by its number and the model."""
    for model in result["models"]:
        for outcome in model["workloads"]:
            medians = {name: figure["median"] for name, figure in outcome["figures"].items()}
            chart = bars(f"{outcome['workload']}, {model['name']}", outcome["unit"], medians)
            number = outcome["workload"].partition(":")[0].lower()
            (folder / f"{number}-{model['name']}.svg").write_text(chart, encoding="utf-8")


def _weight_bytes(folder: Path) -> int:
    """Return the size of all weights as 16-bit numbers."""
    return sum(2 * count for file in folder.glob("*.safetensors") for count in _sizes(file))


def _sizes(file: Path) -> list[int]:
    """Return how many numbers each tensor of a file has, without reading them."""
    with safe_open(file, framework="pt") as tensors:
        return [math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()]  # noqa: SIM118


if __name__ == "__main__":
    main()

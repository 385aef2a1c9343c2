"""Tokens per second at several numbers of streams, engine and `transformers.generate` interleaved."""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.conditions import conditions
from benchmarks.peers import Chat, EnginePeer, GeneratePeer, Peer
from chatbot.engine.base import ChatMessage
from chatbot.engine.local import LocalEngine
from chatbot.engine.machine import cores

BUNDLED = Path(__file__).parent.parent / "chatbot" / "base_model"
PROMPT = "{number}: tell me something about {topic} that I did not know, and then ask me a question about it, please."
TOPICS = ("rain", "bread", "whales", "clocks", "bees", "snow", "trains", "salt")


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        model = options.model or _default_model(Path(scratch))
        result = asyncio.run(_measure(model, options))
    text = json.dumps(result, indent=2)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    print(_table(result), file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--streams", default="1,8,32", help="how many conversations at once, separated by commas")
    parser.add_argument("--model", type=Path, help="model directory; by default the bundled one, else a random one")
    parser.add_argument("--out", type=Path, help="file for the JSON that is printed")
    parser.add_argument("--tokens", type=int, default=128, help="tokens per reply")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds per figure, at least 3")
    parser.add_argument("--threads", type=int, default=max(1, cores() - 1))
    options = parser.parse_args()
    options.streams = [int(part) for part in options.streams.split(",")]
    options.rounds = max(3, options.rounds)
    return options


def _default_model(scratch: Path) -> Path:
    """Return the bundled model or, while there is none, a random one of 16 million parameters."""
    if (BUNDLED / "config.json").is_file():
        return BUNDLED
    from tests.tiny import make_tiny_model

    return make_tiny_model(
        scratch / "random-16M",
        context_tokens=4096,
        vocab_size=8192,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=6,
        tie_word_embeddings=True,
        initializer_range=0.02,
        dtype=torch.bfloat16,
    )


async def _measure(model: Path, options: argparse.Namespace) -> dict[str, Any]:
    engine = LocalEngine(
        model, slots=max(options.streams), threads=options.threads, context_tokens=1024, ignore_end=True
    )
    await engine.start()
    reference = GeneratePeer(model, options.threads)
    before = conditions(model, threads=options.threads, parameters=reference.parameters)
    peers: list[Peer] = [EnginePeer(engine), reference]
    figures = [await _compare(peers, streams, options) for streams in options.streams]
    await engine.stop()
    return {"conditions": before | {"tokens": options.tokens, "rounds": options.rounds}, "streams": figures}


async def _compare(peers: list[Peer], streams: int, options: argparse.Namespace) -> dict[str, Any]:
    """Let the peers take turns and return each one's median and extremes in tokens per second."""
    chats = [_chat(i) for i in range(streams)]
    rates: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for peer in peers:
        await peer.run(chats, min(8, options.tokens))
    for _ in range(options.rounds):
        for peer in peers:
            rates[peer.name].append(streams * options.tokens / await peer.run(chats, options.tokens))
    summary: dict[str, Any] = {
        name: {
            "median": round(statistics.median(found), 1),
            "lowest": round(min(found), 1),
            "highest": round(max(found), 1),
        }
        for name, found in rates.items()
    }
    engine, generate = (statistics.median(rates[peer.name]) for peer in peers)
    return {"streams": streams, "tokens_per_s": summary, "engine_over_generate": round(engine / generate, 2)}


def _chat(number: int) -> Chat:
    """Return a chat that differs from the others early, so that nothing is gained by sharing prefixes."""
    return (ChatMessage("user", PROMPT.format(number=number, topic=TOPICS[number % len(TOPICS)])),)


def _table(result: dict[str, Any]) -> str:
    lines = ["streams   engine tok/s   generate tok/s   ratio"]
    for row in result["streams"]:
        rates = row["tokens_per_s"]
        lines.append(
            f"{row['streams']:>7}   {rates['engine']['median']:>12}   {rates['generate']['median']:>14}"
            f"   {row['engine_over_generate']:>4}x"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

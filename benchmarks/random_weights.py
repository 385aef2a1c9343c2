"""Models and adapters that nobody trained, of sizes that people use: speed depends on sizes, not on what is said.

Weights are drawn on the device that is measured and go to disk as they are, so that a large model is made in seconds.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

BUNDLED = Path(__file__).parent.parent / "chatbot" / "base_model"
CONTEXT_TOKENS = 4352
SPREAD = 0.02
SHAPES: Mapping[str, dict[str, Any]] = {
    "random-90M": {
        "vocab_size": 8192,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "tie_word_embeddings": True,
    },
    "random-1.2B": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
    },
    "random-8B": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
    },
}
"""Llama configurations by name; the larger two are those of Llama 3.2 1B and Llama 3 8B."""


def make_model(folder: Path, shape: Mapping[str, Any], device: torch.device) -> Path:
    """Write a Llama model of this shape with the bundled model's tokenizer and return its folder."""
    bundled = json.loads((BUNDLED / "config.json").read_text("utf-8"))
    ends = {name: bundled[name] for name in ("bos_token_id", "eos_token_id")}
    config = LlamaConfig(max_position_embeddings=CONTEXT_TOKENS, dtype=torch.bfloat16, **ends, **shape)
    config.architectures = ["LlamaForCausalLM"]
    drawn = torch.Generator(device).manual_seed(0)
    weights = {name: _weight(plain, drawn) for name, plain in _skeleton(config).named_parameters()}
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for file in ("tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(BUNDLED / file, folder / file)
    _write_tokenizer(folder / "tokenizer.json", shape["vocab_size"])
    return folder


def make_adapter(
    base: Path, folder: Path, *, seed: int, rank: int, device: torch.device, dtype: torch.dtype = torch.bfloat16
) -> Path:
    """Write a PEFT LoRA adapter on every linear but the head, with random A and B, and return its folder.

    By default it is in bfloat16, as `chatbot adapter train` writes those of a base that is.
    """
    from peft import LoraConfig

    linears = {
        name: module
        for name, module in _skeleton(AutoConfig.from_pretrained(base)).named_modules()
        if isinstance(module, nn.Linear) and name != "lm_head"
    }
    targets = sorted({name.rpartition(".")[2] for name in linears})
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="CAUSAL_LM")
    drawn = torch.Generator(device).manual_seed(seed)
    weights = {}
    for name, linear in linears.items():
        for part, sizes in (("A", (rank, linear.in_features)), ("B", (linear.out_features, rank))):
            weights[f"base_model.model.{name}.lora_{part}.weight"] = _drawn(sizes, dtype, drawn)
    config.save_pretrained(folder)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def _skeleton(config: Any) -> Any:  # transformers is untyped
    """Return the model without any weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)


def _weight(plain: torch.Tensor, drawn: torch.Generator) -> torch.Tensor:
    """Return random numbers for a matrix, ones for a norm."""
    if plain.dim() == 1:
        return torch.ones(plain.shape, dtype=plain.dtype)
    return _drawn(plain.shape, plain.dtype, drawn)


def _drawn(sizes: tuple[int, ...], dtype: torch.dtype, drawn: torch.Generator) -> torch.Tensor:
    return (torch.randn(sizes, dtype=dtype, device=drawn.device, generator=drawn) * SPREAD).cpu()


def _write_tokenizer(file: Path, size: int) -> None:
    """Write the bundled tokenizer with words that no text has, up to this size: every id shall have a text."""
    tokenizer = json.loads((BUNDLED / "tokenizer.json").read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    taken = {*vocabulary.values(), *(token["id"] for token in tokenizer["added_tokens"])}
    vocabulary |= {f"unheard{number}": number for number in range(size) if number not in taken}
    file.write_text(json.dumps(tokenizer), encoding="utf-8")

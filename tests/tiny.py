"""Tiny random models and adapters for tests: real files on disk, made in well under two seconds.

The tokenizer is a byte-level BPE over all 256 bytes with a few merges and the bundled model's control tokens,
so any text at all can be said and heard. The weights are random but deterministic for a seed.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

CONTROL_TOKENS = ("<|begin|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
CHAT_TEMPLATE = (
    "<|begin|>"
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONFIGS: dict[str, type[PreTrainedConfig]] = {
    "gpt2": GPT2Config,
    "llama": LlamaConfig,
    "mistral": MistralConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
}
MERGES = ("t h", "th e", "i n", "a n", "e r", "Ġ a", "Ġ th", "Ġth e", "h e", "l l", "he ll", "hell o")


def make_tiny_tokenizer(template: str = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer of 256 bytes, a few merges and the control tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(left, right) for left, right in map(str.split, MERGES)]
    vocab = {piece: i for i, piece in enumerate([*letters, *("".join(merge) for merge in merges)])}
    core = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(CONTROL_TOKENS))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<|begin|>", eos_token="<|end|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = template
    return tokenizer


def make_tiny_model(
    folder: Path,
    *,
    seed: int = 0,
    architecture: str = "llama",
    context_tokens: int = 512,
    template: str = CHAT_TEMPLATE,
    dtype: torch.dtype = torch.float32,
    varies: bool = False,
    **config: Any,  # whatever the configuration class takes
) -> Path:
    """Write a random causal LM with tokenizer and chat template into `folder` and return the folder.

    varies: whether norms differ from one and biases from zero, so that they would be missed.
    """
    tokenizer = make_tiny_tokenizer(template)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": context_tokens,
        "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[architecture](**(shape | config)))
    if varies:
        _vary(model)
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@torch.no_grad()
def _vary(model: torch.nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if "norm" in name or name.endswith("bias"):
            parameter.add_(0.3 * torch.randn_like(parameter))


def make_tiny_adapter(
    base: Path,
    folder: Path,
    *,
    seed: int,
    rank: int = 4,
    target_modules: str | list[str] = "all-linear",
    base_digest: str | None = None,
    **config: Any,  # whatever peft.LoraConfig takes
) -> Path:
    """Write a PEFT LoRA adapter with random A and B for the model in `base` and return its folder."""
    from peft import LoraConfig, get_peft_model

    model = AutoModelForCausalLM.from_pretrained(base)
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=target_modules, task_type="CAUSAL_LM", **config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls what transformers has deprecated
        adapted = get_peft_model(model, settings)
        torch.manual_seed(seed)
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.2)
        adapted.save_pretrained(folder)
    if base_digest is not None:
        (folder / "base.json").write_text(json.dumps({"name": base.name, "digest": base_digest}))
    return folder

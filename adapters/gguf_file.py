"""A Llama model as one GGUF file, the form that llama.cpp, Ollama and LM Studio read.

Weights are kept as 16-bit floats, norms as 32-bit ones. llama.cpp turns queries and keys in neighbouring pairs where
transformers turns halves, so their rows are put in its order.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.counted import counted
from adapters.errors import CannotExport
from adapters.loaded import loaded

ARCHITECTURE = "LlamaForCausalLM"
GENERATION_MARK = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""Marks the assistant's words for training; llama.cpp's template reader does not know it."""
SPLITS = {("Digits", "ByteLevel"): "smollm", ("ByteLevel",): "gpt-2"}
"""llama.cpp's name for how text is cut before the merges, by the steps of the tokenizer file."""
FILE_TYPE_F16 = 1
STORED = torch.float16
"""What weights are written as; a model that was rounded to another type before has lost more than this takes."""
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # llama.cpp's token types
CALLED = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
"""llama.cpp's names of the weights."""
LAYER_WEIGHT = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")
CALLED_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TURNED = ("attn_q.weight", "attn_k.weight")
ACTIVATION = "silu"
"""The one that llama.cpp computes for this architecture."""


def write_gguf(folder: Path, out: Path, name: str) -> None:
    """Write the transformers model in `folder` to the file `out`. Raises CannotExport or CannotLoad."""
    gguf = _package()
    model = _load(folder)
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name(name)
    _add_shape(writer, model.config)
    _add_tokenizer(writer, folder, model.config)
    _add_weights(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _package() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise CannotExport("GGUF needs the package gguf; try: pip install '.[export]'") from error
    return gguf


def _load(folder: Path) -> Any:  # transformers is untyped
    model = loaded(folder, torch.float32)
    if type(model).__name__ != ARCHITECTURE or model.config.rope_parameters.get("rope_type") != "default":
        raise _unwritable(folder, f"{type(model).__name__} cannot, only {ARCHITECTURE} with plain rotary embeddings")
    if model.config.hidden_act != ACTIVATION:
        raise _unwritable(folder, f"hidden_act {model.config.hidden_act!r} cannot, only {ACTIVATION!r}")
    if unknown := [name for name in model.state_dict() if _called(name) is None]:
        raise _unwritable(folder, f"{counted(len(unknown), 'weight')} cannot, such as {unknown[0]}")
    return model


def _unwritable(folder: Path, fault: str) -> CannotExport:
    way_out = "use --to merged, and llama.cpp's own convert_hf_to_gguf.py on the result"
    return CannotExport(f"{folder}: expected a model that can be written as GGUF here; {fault} ({way_out})")


def _add_shape(writer: Any, config: Any) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(FILE_TYPE_F16)


def _add_tokenizer(writer: Any, folder: Path, config: Any) -> None:
    from transformers import AutoTokenizer

    found = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokens = tokenizer.convert_ids_to_tokens(range(config.vocab_size))
    types = [NORMAL if token is not None else UNUSED for token in tokens]
    for token in found["added_tokens"]:
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_split(folder, found))
    writer.add_token_list([f"[PAD{index}]" if token is None else token for index, token in enumerate(tokens)])
    writer.add_token_types(types)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in found["model"]["merges"]])
    for add, index in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if index is not None:
            add(index)
    writer.add_add_bos_token(False)  # the chat template begins with it
    if tokenizer.chat_template:
        writer.add_chat_template(GENERATION_MARK.sub("", tokenizer.get_chat_template()))


def _split(folder: Path, found: dict[str, Any]) -> str:
    """Return llama.cpp's name for how this tokenizer cuts text. Raises CannotExport."""
    step = found.get("pre_tokenizer") or {}
    steps = tuple(each["type"] for each in step.get("pretokenizers", [step] if step else []))
    if found["model"]["type"] != "BPE" or steps not in SPLITS:
        raise CannotExport(
            f"{folder}: expected a byte-level BPE tokenizer that cuts text by {' or '.join(map(str, SPLITS))}, "
            f"got {found['model']['type']} by {steps}; use --to merged and llama.cpp's convert_hf_to_gguf.py"
        )
    return SPLITS[steps]


def _add_weights(writer: Any, model: Any) -> None:
    """Add every weight of the model, the head too unless it is the embeddings."""
    config = model.config
    for name, weight in model.state_dict().items():
        called = _called(name)
        if called == CALLED["lm_head.weight"] and config.tie_word_embeddings:
            continue
        is_turned = called is not None and called.endswith(TURNED)
        kept = _full if weight.dim() == 1 else _half
        writer.add_tensor(called, kept(_in_pairs(weight, config.head_dim) if is_turned else weight))


def _called(name: str) -> str | None:
    """Return llama.cpp's name of a weight; None for one that it has no place for."""
    if (match := LAYER_WEIGHT.fullmatch(name)) is None:
        return CALLED.get(name)
    called = CALLED_IN_LAYER.get(match[2])
    return called and f"blk.{match[1]}.{called}.weight"


def _in_pairs(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Return the rows of each head with its two halves interleaved."""
    heads = weight.view(-1, 2, head_dim // 2, weight.shape[-1])
    return heads.transpose(1, 2).reshape(weight.shape)


def _half(weight: torch.Tensor) -> np.ndarray[Any, Any]:
    return weight.detach().to(STORED).contiguous().numpy()


def _full(weight: torch.Tensor) -> np.ndarray[Any, Any]:
    return weight.detach().float().contiguous().numpy()

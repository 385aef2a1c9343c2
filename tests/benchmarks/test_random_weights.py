"""Models of random weights are such as everybody loads, and every id of theirs has a text."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from benchmarks.random_weights import SHAPES, make_adapter, make_model
from chatbot.engine.adapter_files import read_adapter
from chatbot.engine.template import ChatTemplate

CPU = torch.device("cpu")
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.mark.parametrize("name", SHAPES)
def test_a_model_and_an_adapter_are_whole(tmp_path: Path, name: str) -> None:
    shape = {**SHAPES[name], **SMALL, "num_key_value_heads": 2, "vocab_size": 9000}
    folder = make_model(tmp_path / name, shape, CPU)
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    assert model.dtype == torch.bfloat16
    assert ChatTemplate(folder).decode([8999]) == "unheard8999"
    linears = {
        module_name: (module.in_features, module.out_features)
        for module_name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    adapter = make_adapter(folder, tmp_path / "adapter", seed=1, rank=4, device=CPU)
    read = read_adapter(adapter, linears, base_digest="any", dtype=torch.float32, device=CPU)
    assert set(read.pairs) == set(linears) - {"lm_head"}


def test_the_shapes_have_the_sizes_of_their_names() -> None:
    with torch.device("meta"):
        from transformers import LlamaConfig

        counts = {
            name: sum(weight.numel() for weight in AutoModelForCausalLM.from_config(LlamaConfig(**shape)).parameters())
            for name, shape in SHAPES.items()
        }
    assert [round(count / 1e9, 2) for count in counts.values()] == [0.08, 1.24, 8.03]

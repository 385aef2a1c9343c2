"""A persona written as a model of its own: read back with the readers' own libraries."""

import errno
import json
import warnings
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner, Result

from adapters.errors import CannotExport, CannotLoad
from adapters.gguf_file import write_gguf
from adapters.merged import merge
from adapters.persona import PersonaCard, render_persona
from chatbot.cli.program import app
from chatbot.engine.digest import model_digest
from tests.tiny import make_tiny_adapter, make_tiny_model


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_tiny_model(
        tmp_path / "base", template="{% generation %}{{ messages[0]['content'] }}{% endgeneration %}"
    )


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["adapter", "export", *(str(word) for word in words)])


def publish(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a persona for this base, which is the one that is served, where the command finds it."""
    monkeypatch.setenv("CHATBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHATBOT_MODEL", str(base))
    version = tmp_path / "home" / "data" / "adapters" / "pirate" / "v1"
    make_tiny_adapter(base, version, seed=1, base_digest=model_digest(base))
    (version / "persona.toml").write_text(
        render_persona(PersonaCard("pirate", system="You are \x1b[2JFlint.")), "utf-8"
    )


def test_a_merged_model_computes_what_base_and_adapter_compute(base: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    adapter = make_tiny_adapter(base, tmp_path / "adapter", seed=3)
    difference = merge(base, adapter, tmp_path / "merged")
    assert difference < 1e-4
    ids = torch.tensor([[9, 8, 7, 30]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft calls what transformers has deprecated
        adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, adapted(ids).logits, atol=1e-3)
    words = [AutoTokenizer.from_pretrained(folder).encode("hello") for folder in (base, tmp_path / "merged")]
    assert words[0] == words[1]
    assert len({path.stat().st_mode for path in (tmp_path / "merged").iterdir()}) == 1


def test_merging_never_writes_over_anything(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotExport, match="exists already"):
        merge(base, tmp_path, base)


def test_a_gguf_file_holds_the_weights_the_words_and_the_template(base: Path, tmp_path: Path) -> None:
    write_gguf(base, tmp_path / "base.gguf", "tiny")
    reader = gguf.GGUFReader(tmp_path / "base.gguf")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    model = AutoModelForCausalLM.from_pretrained(base)
    up = model.model.layers[1].mlp.up_proj.weight.detach()
    assert np.array_equal(tensors["blk.1.ffn_up.weight"].data, up.half().numpy())
    assert "output.weight" in tensors
    query, head_dim = model.model.layers[0].self_attn.q_proj.weight.detach(), model.config.head_dim
    written = tensors["blk.0.attn_q.weight"].data
    assert np.array_equal(written[0], query[0].half().numpy())
    assert np.array_equal(written[1], query[head_dim // 2].half().numpy())
    words = reader.fields["tokenizer.ggml.tokens"].contents()
    assert words == AutoTokenizer.from_pretrained(base).convert_ids_to_tokens(range(model.config.vocab_size))
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    assert [word for word, kind in zip(words, types, strict=True) if kind == 3] == [
        "<|begin|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>",
    ]  # fmt: skip
    assert reader.fields["tokenizer.chat_template"].contents() == "{{ messages[0]['content'] }}"
    assert reader.fields["tokenizer.ggml.pre"].contents() == "gpt-2"


def test_ids_that_no_word_has_are_filled_up_in_gguf_and_added_ones_are_marked(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "base", vocab_size=320)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<think>"])
    tokenizer.save_pretrained(base)
    write_gguf(base, tmp_path / "base.gguf", "tiny")
    fields = gguf.GGUFReader(tmp_path / "base.gguf").fields
    words, types = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type"))
    assert (len(words), words[-1], types[-1]) == (320, "[PAD319]", 5)
    assert types.count(5) == 320 - len(tokenizer)
    assert types[words.index("<think>")] == 4


def test_a_persona_is_rounded_only_to_what_the_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its base is in bfloat16, of which a 16-bit float keeps three more bits of every weight."""
    base = make_tiny_model(tmp_path / "base", dtype=torch.bfloat16)
    publish(base, tmp_path, monkeypatch)
    assert run("pirate", tmp_path / "p.gguf", "--to", "gguf").exit_code == 0
    merge(base, tmp_path / "home" / "data" / "adapters" / "pirate" / "v1", tmp_path / "exact", torch.float32)
    up = AutoModelForCausalLM.from_pretrained(tmp_path / "exact").model.layers[1].mlp.up_proj.weight.detach()
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(tmp_path / "p.gguf").tensors}
    assert np.array_equal(tensors["blk.1.ffn_up.weight"], up.half().numpy())


@pytest.mark.parametrize(
    "config", [{"modules_to_save": ["lm_head"]}, {"use_dora": True}, {"target_modules": ["q_proj", "embed_tokens"]}]
)
def test_what_is_more_than_plain_lora_can_be_merged(
    base: Path, tmp_path: Path, config: dict[str, Any], recwarn: pytest.WarningsRecorder
) -> None:
    adapter = make_tiny_adapter(base, tmp_path / "adapter", seed=3, **config)
    recwarn.clear()
    assert merge(base, adapter, tmp_path / "merged") < 1e-4
    assert not recwarn.list


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj"]},
    ],
)
def test_a_head_that_shares_its_weights_gets_its_own_where_an_adapter_changes_one(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    base = make_tiny_model(tmp_path / "tied", tie_word_embeddings=True)
    adapter = make_tiny_adapter(base, tmp_path / "adapter", seed=3, **config)
    assert merge(base, adapter, tmp_path / "merged") < 1e-4
    is_tied = config == {"target_modules": ["q_proj"]}
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "merged").config.tie_word_embeddings is is_tied


def test_a_model_that_is_not_base_plus_adapter_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_tiny_adapter(base, tmp_path / "adapter", seed=3)
    plain = AutoModelForCausalLM.from_pretrained(base)
    save = type(plain).save_pretrained
    with monkeypatch.context() as merging_nothing:
        merging_nothing.setattr("peft.PeftModel.merge_and_unload", lambda _: plain, raising=False)
        with pytest.raises(CannotExport, match="cannot be added to the weights of its base: logits differ by "):
            merge(base, adapter, tmp_path / "unmerged")
    monkeypatch.setattr(type(plain), "save_pretrained", lambda _, folder: save(plain, folder))
    with pytest.raises(CannotExport, match="is read back as something else"):
        merge(base, adapter, tmp_path / "unwritten")


def test_a_pattern_that_would_take_for_ever_is_never_tried(base: Path, tmp_path: Path) -> None:
    adapter = make_tiny_adapter(base, tmp_path / "adapter", seed=3)
    config = adapter / "adapter_config.json"
    patterns = dict.fromkeys(("target_modules", "exclude_modules"), "(([a-z._0-9])+)+X")
    config.write_text(json.dumps(json.loads(config.read_text()) | patterns))
    assert merge(base, adapter, tmp_path / "merged") < 1e-4


def test_an_adapter_that_does_not_fit_is_refused_and_nothing_is_written(base: Path, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", hidden_size=64)
    adapter = make_tiny_adapter(other, tmp_path / "adapter", seed=3)
    with pytest.raises(CannotExport, match=r"does not fit the base \(name its own with --base\)"):
        merge(base, adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_base_that_transformers_does_not_know_is_told(base: Path, tmp_path: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"model_type": "unheard"}))
    with pytest.raises(CannotLoad, match="base: the model cannot be loaded: "):
        merge(base, tmp_path, tmp_path / "merged")
    result = run("base", tmp_path / "x.gguf", "--to", "gguf", "--base", base)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{base}: the model cannot be loaded: ")


def test_another_architecture_is_refused_with_what_to_do(tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "qwen", architecture="qwen2")
    with pytest.raises(CannotExport, match=r"Qwen2ForCausalLM.*--to merged"):
        write_gguf(other, tmp_path / "x.gguf", "x")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"attention_bias": True}, r"8 weights cannot, such as model\.layers\.0\.self_attn\.q_proj\.bias"),
        ({"mlp_bias": True}, r"6 weights cannot, such as model\.layers\.0\.mlp\.gate_proj\.bias"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' cannot, only 'silu'"),
    ],
)
def test_a_model_of_which_something_would_be_lost_is_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    base = make_tiny_model(tmp_path / "base", **config)
    with pytest.raises(CannotExport, match=said):
        write_gguf(base, tmp_path / "x.gguf", "x")


def test_every_weight_is_written_under_its_own_name_and_a_shared_one_once(base: Path, tmp_path: Path) -> None:
    tied = make_tiny_model(tmp_path / "tied", tie_word_embeddings=True)
    for number, (folder, count) in enumerate(((base, 21), (tied, 20))):
        write_gguf(folder, tmp_path / f"{number}.gguf", "x")
        names = [tensor.name for tensor in gguf.GGUFReader(tmp_path / f"{number}.gguf").tensors]
        assert len(set(names)) == len(names) == count


def test_the_command_writes_a_persona_as_one_file(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(base, tmp_path, monkeypatch)

    result = run("pirate", tmp_path / "pirate.gguf", "--to", "gguf")

    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "pirate.gguf")
    assert "standard deviations" in result.stderr
    assert result.stderr.endswith("system prompt: You are [2JFlint.\n")
    assert "Loading weights" not in result.stderr
    assert gguf.GGUFReader(tmp_path / "pirate.gguf").fields["general.name"].contents() == "pirate"

    nowhere = run("pirate", tmp_path / "none" / "pirate.gguf", "--to", "gguf")
    assert nowhere.exit_code == 2
    assert nowhere.stderr == f"{tmp_path}/none: no such folder; make it, or name another\n"

    other = make_tiny_model(tmp_path / "other", seed=9)
    refused = run("pirate", tmp_path / "p", "--to", "merged", "--base", other)
    assert refused.exit_code == 2
    assert "pirate@v1 was trained on another base, base (" in refused.stderr


def test_a_base_that_is_named_is_found_as_the_served_one_is(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(make_tiny_model(tmp_path / "served", seed=9), tmp_path, monkeypatch)
    (tmp_path / "base_model").symlink_to(base)
    monkeypatch.setattr("chatbot.settings.PACKAGE", tmp_path)

    for named, called in (("bundled", "chatbot-mini"), (base, "base")):
        result = run("base", tmp_path / f"{called}.gguf", "--to", "gguf", "--base", named)
        assert result.exit_code == 0, result.output
        assert gguf.GGUFReader(tmp_path / f"{called}.gguf").fields["general.name"].contents() == called


@pytest.mark.parametrize("form", ["gguf", "merged"])
@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "was not written: No space left"),
        (SafetensorError("I/O error: No space left"), 1, "was not written: I/O error: No space left"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_could_not_be_written_to_its_end_is_not_there(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, fault: BaseException, code: int, said: str
) -> None:
    def fail(path: Path, *_: object) -> None:
        raise fault

    publish(base, tmp_path, monkeypatch)
    monkeypatch.setattr("os.rename", fail)
    (tmp_path / "out").mkdir()
    result = run("pirate", tmp_path / "out" / "pirate", "--to", form)
    assert result.exit_code == code
    assert said in result.stderr
    assert list((tmp_path / "out").iterdir()) == []

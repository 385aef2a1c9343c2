"""A model directory that is missing or broken is told by what was expected and where."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any
from unittest.mock import Mock

import pytest
from huggingface_hub.utils._paths import filter_repo_objects

from chatbot.engine.base import ModelNotFound
from chatbot.engine.checkpoint import locate, read_context_tokens
from chatbot.engine.digest import model_digest


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    return copytree(tiny, tmp_path / "model")


def test_a_directory_is_found_by_path_and_by_text(tiny: Path) -> None:
    assert locate(tiny) == locate(str(tiny)) == tiny


@pytest.mark.parametrize(
    "model", ["/no/such/place", "./nowhere/to/be/found", Path("gone"), "what is this?", "~nobody-here/x"]
)
def test_a_missing_directory_is_named(model: str | Path) -> None:
    with pytest.raises(ModelNotFound, match="no such directory; expected a Hugging Face causal LM"):
        locate(model)


def test_a_hub_name_that_cannot_be_fetched_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match="some-org/some-model: neither a directory nor a model"):
        locate("some-org/some-model")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("Expecting value: line 1"), "Expecting value: line 1"),
        (RuntimeError("peer closed\nthe connection"), "peer closed"),
        (OSError(), "OSError"),
    ],
)
def test_a_download_that_breaks_off_is_told_however_it_does(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", Mock(side_effect=error))
    with pytest.raises(ModelNotFound, match=rf"fetched \({reason}\)\. Where a download was interrupted"):
        locate("some-org/some-model")


def test_weights_are_fetched_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = ["consolidated.safetensors", "original/model.safetensors", "onnx/config.json", "pytorch_model.bin"]
    fetch = Mock(return_value=str(tiny))
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert locate("some-org/some-model") == tiny
    found = filter_repo_objects(["config.json", "model-00001-of-00002.safetensors", *copies], **fetch.call_args.kwargs)
    assert [*found] == ["config.json", "model-00001-of-00002.safetensors"]


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ModelNotFound, match=f"{file.replace('model', '.')}.* is missing"):
        locate(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"a"', "[" * 100_000])
def test_a_broken_tokenizer_config_is_refused(folder: Path, text: str) -> None:
    (folder / "tokenizer_config.json").write_text(text)
    with pytest.raises(ModelNotFound, match=r"tokenizer_config\.json"):
        locate(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_type"'])
def test_a_broken_config_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        locate(folder)


def test_the_context_is_read_from_the_config(folder: Path) -> None:
    assert read_context_tokens(folder) == 512


@pytest.mark.parametrize("key", ["max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"])
def test_the_context_has_the_name_that_the_kind_of_model_gives_it(folder: Path, key: str) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "mystery", key: 64}))
    assert read_context_tokens(folder) == 64


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "context is missing; expected one of max_position_embeddings, n_positions"),
        ({"max_position_embeddings": 0}, "max_position_embeddings = 0; expected a positive integer"),
        ({"n_positions": -5}, "n_positions = -5; expected a positive integer"),
        ({"n_positions": "many"}, "n_positions = 'many'; expected a positive integer"),
        ({"text_config": ["x"]}, r"text_config = \['x'\]; expected an object"),
        ({"n_positions": 64, "rope_scaling": "linear"}, "rope_scaling = 'linear'; expected an object"),
        (
            {"n_positions": 64, "rope_scaling": {"type": "longrope", "original_max_position_embeddings": -5}},
            "original_max_position_embeddings = -5; expected a positive integer",
        ),
    ],
)
def test_a_config_that_tells_no_context_is_refused(folder: Path, config: dict[str, Any], complaint: str) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "mystery"} | config))
    with pytest.raises(ModelNotFound, match=rf"config\.json: .*{complaint}"):
        read_context_tokens(folder)


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 4096}, 4096),
        ({"rope_parameters": {"rope_type": "longrope", "original_max_position_embeddings": 4096}}, 4096),
        ({"rope_parameters": {"rope_type": "yarn", "original_max_position_embeddings": 4096}}, 131072),
        ({"rope_scaling": None}, 131072),
    ],
)
def test_positions_that_would_change_with_the_length_are_left_out(
    folder: Path, config: dict[str, Any], tokens: int
) -> None:
    text = json.dumps({"model_type": "phi3", "max_position_embeddings": 131072} | config)
    (folder / "config.json").write_text(text)
    assert read_context_tokens(folder) == tokens


def test_the_digest_is_about_contents_and_not_about_places(tiny: Path, folder: Path) -> None:
    assert model_digest(folder) == model_digest(tiny)
    for name in ("README.md", "consolidated.safetensors"):
        (folder / name).write_text("not read")
    assert model_digest(folder) == model_digest(tiny)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"])
def test_a_change_of_any_part_changes_the_digest(tiny: Path, folder: Path, file: str) -> None:
    path = folder / file
    path.write_bytes(path.read_bytes() + b" ")
    assert model_digest(folder) != model_digest(tiny)


def test_a_template_that_is_no_text_has_a_digest_too(tiny: Path, folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    assert model_digest(folder) != model_digest(tiny)


def test_a_template_inside_the_tokenizer_config_counts_too(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    config = folder / "tokenizer_config.json"
    bare = model_digest(folder)
    config.write_text('{"chat_template": "one"}')
    one = model_digest(folder)
    config.write_text('{"chat_template": "two"}')
    assert len({bare, one, model_digest(folder)}) == 3

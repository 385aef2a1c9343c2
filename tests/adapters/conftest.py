"""A tiny base model with the bundled model's kind of template, made once for all tests of this room."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from adapters import samples
from tests.tiny import make_tiny_model

MARKED_TEMPLATE = (
    "<|begin|>"
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<|end|>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _short_samples() -> Iterator[None]:
    """An untrained model never ends its reply: its samples would take most of the time that these tests have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "MAX_NEW_TOKENS", 1)
        yield


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model whose template marks what the assistant says."""
    return make_tiny_model(tmp_path_factory.mktemp("base") / "tiny", template=MARKED_TEMPLATE)


@pytest.fixture(scope="session")
def unmarked_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same base model with a template that marks nothing."""
    return make_tiny_model(tmp_path_factory.mktemp("base") / "unmarked")


def write_chats(file: Path, chats: Sequence[Sequence[str]], *, system: str | None = None) -> Path:
    """Write chats, user first, as OpenAI messages."""
    head = [{"role": "system", "content": system}] if system else []
    roles = ("user", "assistant")
    with file.open("w", encoding="utf-8") as out:
        for chat in chats:
            turns = [{"role": roles[index % 2], "content": text} for index, text in enumerate(chat)]
            out.write(json.dumps({"messages": head + turns}) + "\n")
    return file

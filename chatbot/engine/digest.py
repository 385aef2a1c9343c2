"""Content digests: two folders with the same digest say the same thing to the same prompt.

Names and dates do not count, so KV and adapters that are keyed by a digest can never be mistaken for another's.
"""

import hashlib
import json
from pathlib import Path

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
SECOND_COPY = "consolidated*"
"""Files that hold the weights once more, in the format of their makers; they are never loaded."""
BLOCK_BYTES = 1 << 20


def model_digest(folder: Path) -> str:
    """Return the sha256 over config.json, tokenizer.json, chat template and weights of a model directory."""
    total = hashlib.sha256()
    weights = sorted(path for path in folder.glob("*.safetensors") if not path.match(SECOND_COPY))
    for path in (folder / "config.json", folder / "tokenizer.json", *weights):
        if path.is_file():
            _add(total, path.name, _file_digest(path))
    _add(total, "chat_template", hashlib.sha256(_chat_template(folder).encode()).digest())
    return total.hexdigest()


def adapter_digest(config: bytes, weights: bytes) -> str:
    """Return the sha256 over the contents of an adapter's two files."""
    return _adapter_digest(hashlib.sha256(config).digest(), hashlib.sha256(weights).digest())


def adapter_folder_digest(folder: Path) -> str:
    """Return the digest that loading this adapter folder gives; OSError if one of its two files is missing."""
    return _adapter_digest(_file_digest(folder / ADAPTER_CONFIG), _file_digest(folder / ADAPTER_WEIGHTS))


def _adapter_digest(config: bytes, weights: bytes) -> str:
    total = hashlib.sha256()
    _add(total, ADAPTER_CONFIG, config)
    _add(total, ADAPTER_WEIGHTS, weights)
    return total.hexdigest()


def _add(total: "hashlib._Hash", name: str, digest: bytes) -> None:
    total.update(name.encode() + b"\0" + digest)


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.digest()


def _chat_template(folder: Path) -> str:
    """Return the template's text from where transformers 5 writes it or, for older models, from the config."""
    if (file := folder / "chat_template.jinja").is_file():
        return file.read_text(encoding="utf-8", errors="replace")  # one that is no text is refused when it is used
    if not (config := folder / "tokenizer_config.json").is_file():
        return ""
    template = json.loads(config.read_text(encoding="utf-8")).get("chat_template", "")
    return template if isinstance(template, str) else json.dumps(template, sort_keys=True)

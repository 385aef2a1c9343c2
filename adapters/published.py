"""One published version of a persona: what its folder says, read without trusting it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from adapters.errors import BadPersona
from adapters.persona import PERSONA_FILE, PersonaCard, read_persona, render_persona
from chatbot.engine.adapter_config import MAX_CONFIG_BYTES, parse_object, read_plain
from chatbot.engine.base import AdapterRejected
from chatbot.engine.digest import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_folder_digest

BASE_FILE = "base.json"
CARD_FILE = "README.md"
EVENTS_FILE = "events.jsonl"
STAMPED = (ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_FILE, PERSONA_FILE)
TITLE = re.compile(rb"# [a-z0-9._-]+ v[0-9]+\r?\n")
"""How a card that training wrote begins."""

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """One published version of a persona."""

    name: str
    version: int
    path: Path
    digest: str
    base_digest: str | None
    """The base model it was trained on; None if the folder does not say."""
    base_name: str | None = None
    description: str = ""
    system: str | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    created_at: int = 0
    bytes_on_disk: int = 0

    @property
    def reference(self) -> str:
        return f"{self.name}@v{self.version}"


def stamp(folder: Path) -> Stamp:
    """Return what changes when one of the files that are read does."""
    return tuple(_file_stamp(folder / name) for name in STAMPED)


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_version(name: str, version: int, folder: Path) -> AdapterFolder | str:
    """Return what a version's folder holds, or the sentence that says why it cannot be used."""
    try:
        base_name, base_digest = _read_base(folder / BASE_FILE)
        card = PersonaCard(name)
        if (folder / PERSONA_FILE).is_file():
            card = read_persona(folder / PERSONA_FILE, name=name)
        weights = (folder / ADAPTER_WEIGHTS).stat()
        _require_whole(folder / ADAPTER_WEIGHTS)
        _object(folder / ADAPTER_CONFIG)
        return AdapterFolder(
            name=name,
            version=version,
            path=folder,
            digest=adapter_folder_digest(folder),
            base_digest=base_digest,
            base_name=base_name,
            description=card.description,
            system=card.system,
            sampling=dict(card.sampling),
            created_at=int(weights.st_mtime),
            bytes_on_disk=weights.st_size,
        )
    except OSError as error:
        return f"{error.filename or folder}: {error.strerror or error}; the version is ignored"
    except (AdapterRejected, BadPersona, ValueError) as error:
        return f"{error}; the version is ignored"


def name_version(folder: Path, name: str) -> None:
    """Write a version's persona.toml anew with this name, and its card with this title."""
    file = folder / PERSONA_FILE
    persona = replace(read_persona(file, name=name), name=name) if file.is_file() else PersonaCard(name)
    _replace(file, render_persona(persona).encode())
    title_card(folder, f"{name} {folder.name}")


def title_card(folder: Path, title: str) -> None:
    """Give the card in a version's folder this title; one that training did not write stays as it is."""
    card = folder / CARD_FILE
    text = card.read_bytes() if card.is_file() else b""
    if old := TITLE.match(text):
        _replace(card, f"# {title}\n".encode() + text[old.end() :])


def _replace(file: Path, data: bytes) -> None:
    """Write a file anew, whole or not at all."""
    written = file.with_name(f".{file.name}.tmp")
    written.write_bytes(data)
    os.replace(written, file)


def _require_whole(path: Path) -> None:
    """Refuse weights that were cut off or never were any, before somebody chooses them."""
    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path}: not whole safetensors: {error}") from error


def _read_base(path: Path) -> tuple[str | None, str | None]:
    if not path.is_file():
        return None, None
    value = _object(path)
    if not all(isinstance(value.get(key), str) for key in ("name", "digest")):
        raise ValueError(f'{path}: expected {{"name": text, "digest": text}}')
    return value["name"], value["digest"]


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file as the engine reads it. Raises AdapterRejected."""
    return parse_object(path, read_plain(path, MAX_CONFIG_BYTES))

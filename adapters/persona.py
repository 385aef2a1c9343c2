"""What a persona is besides its weights: name, description, system prompt and sampling, kept in persona.toml."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.errors import BadPersona

PERSONA_FILE = "persona.toml"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
RESERVED = frozenset({"bundled", "chatbot-mini", "con", "prn", "aux", "nul"})
"""Names of the bundled model, and devices of Windows."""
PLAIN_MODEL = "base"
"""What commands call the model without an adapter."""
SAMPLING_RANGES: Mapping[str, tuple[float, float]] = {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0)}
MAX_FILE_BYTES = 64 * 1024
TOO_LONG = f"more than {MAX_FILE_BYTES // 1024} KiB, which is as long as a {PERSONA_FILE} can be (shorten the text)"


@dataclass(frozen=True, slots=True)
class PersonaCard:
    """The readable part of a persona."""

    name: str
    description: str = ""
    system: str | None = None
    """System prompt that the server sends, and that rows without one are trained with."""
    sampling: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise BadPersona for text that no file could hold: typed in another encoding, or too long."""
        for what, text in (("description", self.description), ("system prompt", self.system or "")):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise BadPersona(f"{what}: character {error.start + 1} is not UTF-8 (write it in UTF-8)") from error
        if len(render_persona(self).encode()) > MAX_FILE_BYTES:
            raise BadPersona(f"description and system prompt: {TOO_LONG}")


def check_name(name: str) -> str:
    """Return the name if it can be a folder and a model name everywhere. Raises BadPersona."""
    if not NAME.fullmatch(name) or ".." in name or name.endswith(".") or name in RESERVED:
        raise BadPersona(
            f"name {name!r} cannot be used (1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit, such as pirate)"
        )
    return name


def check_new_name(name: str, model: str) -> str:
    """Return the name if a persona may be called so from now on, beside a model that is served under the name `model`.

    Raises BadPersona.
    """
    if name in (PLAIN_MODEL, model):
        raise BadPersona(f"name {name!r} cannot be used: the plain model is called so (choose another)")
    return check_name(name)


def read_persona(path: Path, *, name: str | None = None) -> PersonaCard:
    """Return the persona that a persona.toml describes; `name` stands in where the file has none.

    Raises BadPersona, which names file, key and what is expected.
    """
    table = _parse(path)
    for key in table.keys() - {"name", "description", "system", "sampling"}:
        raise BadPersona(f'{path}: key "{key}" unknown (use name, description, system or a [sampling] table)')
    found = table.get("name", name)
    if not isinstance(found, str):
        raise BadPersona(f'{path}: name is missing (add name = "pirate")')
    system = _text(path, table, "system").strip()
    return PersonaCard(check_name(found), _text(path, table, "description"), system or None, _sampling(path, table))


def render_persona(card: PersonaCard) -> str:
    """Return the persona.toml of a persona; reading it gives the same persona back."""
    lines = [f"name = {_quote(card.name)}", f"description = {_quote(card.description)}"]
    if card.system:
        lines.append(f"system = {_quote(card.system)}")
    if card.sampling:
        lines += ["", "[sampling]", *(f"{key} = {float(value)}" for key, value in sorted(card.sampling.items()))]
    return "\n".join(lines) + "\n"


def _parse(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            written = file.read(MAX_FILE_BYTES + 1)
        if len(written) > MAX_FILE_BYTES:
            raise BadPersona(f"{path}: {TOO_LONG}")
        return tomllib.loads(written.decode("utf-8-sig"))
    except OSError as error:
        raise BadPersona(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadPersona(f"{path}: not UTF-8 at byte {error.start} (save the file as UTF-8)") from error
    except (ValueError, RecursionError) as error:
        raise BadPersona(f"{path}: not TOML: {error}") from error


def _text(path: Path, table: Mapping[str, object], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise BadPersona(f"{path}: {key} is {value!r} (expected a text in quotes)")
    return value


def _sampling(path: Path, table: Mapping[str, object]) -> dict[str, float]:
    given = table.get("sampling", {})
    if not isinstance(given, dict):
        raise BadPersona(f"{path}: sampling is {given!r} (expected a table: [sampling])")
    for key, value in given.items():
        if key not in SAMPLING_RANGES:
            raise BadPersona(f'{path}: sampling key "{key}" unknown (use {" or ".join(SAMPLING_RANGES)})')
        low, high = SAMPLING_RANGES[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise BadPersona(f"{path}: sampling.{key} is {value!r} (expected a number from {low} to {high})")
    return {key: float(value) for key, value in given.items()}


def _quote(text: str) -> str:
    """Return a TOML basic string; JSON's escapes are a subset of TOML's, DEL apart."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

"""Every setting, documented once. Flag > CHATBOT_* environment > ./chatbot.toml > user file > default."""

import json
import os
import re
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path, user_config_path, user_data_path, user_state_path
from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

BUNDLED_MODEL = "bundled"
PACKAGE = Path(__file__).resolve().parent


class UnreadableSettings(Exception):
    """A file of settings that is no TOML, or that cannot be opened."""


def settings_files() -> tuple[Path, ...]:
    """Return the files that may hold settings, the one that wins first."""
    return Path("chatbot.toml"), user_config_path("chatbot", appauthor=False) / "chatbot.toml"


def said_in(file: Path) -> dict[str, Any]:
    """Return what a file of settings says, which is nothing where there is none. Raises UnreadableSettings."""
    try:
        said = tomllib.loads(file.read_text("utf-8-sig")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        expected = "expected settings in TOML, such as `port = 8765`"
        raise UnreadableSettings(f"{file.absolute()}: {expected}: {error}") from error
    if isinstance(home := said.get("home"), str) and home and not home.startswith("~"):
        said["home"] = str(file.absolute().parent / home)  # or each folder one works in would have chats of its own
    return said


def _listed(value: object) -> object:
    """Return the list that a text stands for, be it in JSON or separated by commas."""
    if not isinstance(value, str):
        return value
    with suppress(ValueError):
        if isinstance(found := json.loads(value), list):
            return found
    return [part.strip() for part in value.split(",") if part.strip()]


Names = Annotated[list[str], NoDecode, BeforeValidator(_listed)]


class Settings(BaseSettings):
    """Where things live, what is served and within which limits."""

    model_config = SettingsConfigDict(env_prefix="CHATBOT_", extra="forbid", use_attribute_docstrings=True)

    home: Annotated[Path | None, BeforeValidator(lambda given: given or None)] = None
    """Folder that holds data, state and cache in one place; by default the platform's own folders are used. In a
    settings file it is relative to that file."""
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address the server binds to. Anything but a loopback address needs an API key."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    """Port that `chatbot serve` binds to; 0 picks a free one, as a server in the background always does."""
    model: Annotated[str, Field(min_length=1)] = BUNDLED_MODEL
    """Model to serve: `bundled`, a local directory, or the name of a Hugging Face causal LM."""
    api_key: str | None = None
    """Key that clients must send; letters, digits, `_` and `-` only, so that browsers can send it too."""
    allow_origin: Names = []
    """Web origins besides the server's own that may connect, such as `https://chat.example`."""
    allow_host: Names = []
    """Host names besides loopback and `host` that requests may name (guards against DNS rebinding)."""
    instructions: str = "You are Ada, a friendly assistant."
    """System prompt of the base model where the conversation brings none; a persona has its own, or none as in its
    training."""
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    """Longest reply where the request does not say."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.3
    """Sampling temperature where neither request nor persona says; 0 is greedy."""
    context_tokens: Annotated[int | None, Field(ge=16, le=10_000_000)] = None
    """Context window, never more than what the model was trained for; by default that, at most 8192."""
    recall_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 600
    """How many tokens of older messages, no longer in the window, may be shown again because the new message may be
    about them; at most a fifth of the prompt. 0 turns this off."""
    slots: Annotated[int, Field(ge=1, le=1024)] = 32
    """Conversations that answer at the same time, and whose attention state is kept in memory; fewer where half of the
    free memory does not hold that many."""
    kv_host_mib: Annotated[int, Field(ge=0, le=100_000_000)] = 512
    """MiB of memory for the attention state of conversations beyond `slots`; 0 turns this off. What is on its way to
    disk, and from there for prompts that wait, takes up to 512 MiB each besides."""
    kv_disk_mib: Annotated[int, Field(ge=0, le=100_000_000)] = 1024
    """MiB of disk for attention state that does not fit into memory, and for all of it while no server runs; 0 turns
    this off. The last 256 MiB of a disk are left to others."""
    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    """CPU threads of the engine; by default one less than there are cores."""
    device: str = "auto"
    """Where the server runs the model: `auto`, `cpu`, `cuda`, or one of several such as `cuda:1`. Training takes a GPU
    wherever there is one."""
    speculative: bool = True
    """Draft text that may repeat what was said and verify several tokens at once, while that is measured to be faster;
    replies stay the same."""
    compiled: bool = True
    """Let the machine's C compiler, if there is one, make the code for a CPU's steps, which takes a second the first
    time; without it small ones take several times as long."""
    matmul_precision: Literal["highest", "medium"] = "highest"
    """`medium` lets a CPU with bfloat16 units round what goes into large products (prompts, many chats at once), which
    is several times faster there; `highest` computes them as transformers does. Takes 2 more bytes for each weight."""
    max_waiting: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    """Turns that may wait for the engine before new ones are refused; a user with none waiting may still add one."""
    prefill_ms: Annotated[float, Field(gt=0, le=60_000)] = 50.0
    """How long new prompts may hold up each token of the replies being streamed."""
    stuck_after_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """A step of the engine that takes longer counts as stuck: what runs fails, and the engine is restarted."""
    max_queued_turns: Annotated[int, Field(ge=0, le=1_000_000)] = 4
    """Turns that may wait behind the running one in the same conversation."""
    max_message_bytes: Annotated[int, Field(ge=1024, le=1024**3)] = 256 * 1024
    """Largest WebSocket frame or request body that is accepted; an import may be of any length."""
    checkpoint_s: Annotated[float, Field(gt=0, le=3600)] = 0.25
    """Longest time that streamed text stays unsaved."""
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = 20.0
    """How long a stopping server waits for running replies; a second ^C ends them at once."""
    idle_exit_s: Annotated[float | None, Field(gt=0, le=31_536_000)] = None
    """Stop the server after this many seconds without a client; by default one that `serve` started never stops so, and
    one in the background stops after 60."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda given: given.lower() if isinstance(given, str) else given),
    ] = "info"
    """Least severe log line that is printed."""

    @field_validator("home")
    @classmethod
    def _without_tilde(cls, home: Path | None) -> Path | None:
        try:
            return home.expanduser() if home else None
        except RuntimeError:
            raise ValueError("expected a folder, but there is no such user") from None

    @field_validator("api_key")
    @classmethod
    def _that_browsers_can_send(cls, key: str | None) -> str | None:
        if key is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            raise ValueError("expected letters, digits, _ and - only")
        return key

    @field_validator("allow_origin")
    @classmethod
    def _as_browsers_say_them(cls, origins: list[str]) -> list[str]:
        """An origin is compared as it is; what no browser sends would never be let in, and nobody would know why."""
        written = [origin.lower().rstrip("/") for origin in origins]
        for origin in written:
            if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+", origin):
                raise ValueError(f"{origin!r} is no origin: expected scheme://host or scheme://host:port")
        return [re.sub(r"^(http://.*):80$|^(https://.*):443$", r"\1\2", origin) for origin in written]

    @field_validator("allow_host")
    @classmethod
    def _names_alone(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+|\[?[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,}\]?", host):
                raise ValueError(f"{host!r} is no host: expected a name or an IP address, without scheme and port")
        return hosts

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("expected auto, cpu or cuda")
        return value

    @property
    def data_dir(self) -> Path:
        return self.home / "data" if self.home else user_data_path("chatbot", appauthor=False)

    @property
    def state_dir(self) -> Path:
        return self.home / "state" if self.home else user_state_path("chatbot", appauthor=False)

    @property
    def kv_dir(self) -> Path:
        """Attention state of conversations, as private as they are; it can be removed while no server runs."""
        return self._cache_dir / "kv"

    @property
    def compiled_dir(self) -> Path:
        """Code that was compiled for this machine; it can be removed at any time."""
        return self._cache_dir / "compiled"

    @property
    def _cache_dir(self) -> Path:
        return self.home / "cache" if self.home else user_cache_path("chatbot", appauthor=False)

    @property
    def database_path(self) -> Path:
        return self.data_dir / "chats.db"

    @property
    def adapters_dir(self) -> Path:
        return self.data_dir / "adapters"

    @property
    def personas_dir(self) -> Path:
        """Personas that ship with the program."""
        return PACKAGE.parent / "adapters" / "personas"

    @property
    def model_path(self) -> str:
        """Directory or hub name of the model to serve."""
        return str(PACKAGE / "base_model") if self.model == BUNDLED_MODEL else self.model

    @property
    def model_name(self) -> str:
        """Name under which clients see the base model."""
        if self.model == BUNDLED_MODEL:
            return "chatbot-mini"
        folder = Path(os.path.expanduser(self.model))
        return folder.resolve().name if folder.exists() else self.model

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = (InitSettingsSource(settings_cls, said_in(file)) for file in settings_files())
        return init_settings, env_settings, *files

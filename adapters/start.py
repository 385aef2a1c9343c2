"""The adapter that a run goes on from, instead of from one that changes nothing yet.

For more examples of a persona there is, or to take it to a base that was trained on; the base may be another one than
it was made for, if its layers have the same sizes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.errors import CannotTrain
from adapters.persona import PERSONA_FILE
from chatbot.engine.adapter_config import MAX_CONFIG_BYTES, check_config, parse_object, read_plain
from chatbot.engine.base import AdapterRejected
from chatbot.engine.digest import ADAPTER_CONFIG, adapter_folder_digest

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Start:
    """An adapter in PEFT's form, and what of it a plan keeps to."""

    name: str
    """What the user calls it: `pirate@v1`, or a folder."""
    path: Path
    digest: str
    rank: int
    alpha: float

    @property
    def persona_file(self) -> Path | None:
        """Who it is; None for an adapter that nobody published."""
        file = self.path / PERSONA_FILE
        return file if file.is_file() else None


@dataclass(frozen=True, slots=True)
class Begun:
    """The state that a run goes on from, and what it loses on the chats held out: later states have to be better."""

    weights: "dict[str, torch.Tensor]"
    """As peft names them."""
    loss: float


def read_start(folder: Path, name: str) -> Start:
    """Return the adapter in this folder. Raises CannotTrain if there is none that can be gone on from."""
    file = folder / ADAPTER_CONFIG
    try:
        plain = check_config(file, parse_object(file, read_plain(file, MAX_CONFIG_BYTES)))
        return Start(name, folder, adapter_folder_digest(folder), plain.rank, plain.alpha)
    except AdapterRejected as error:
        raise CannotTrain(f"--from {name}: {error}") from error
    except OSError as error:
        raise CannotTrain(
            f"--from {name}: {error.filename or file}: {error.strerror or error} (give a persona or its folder)"
        ) from error

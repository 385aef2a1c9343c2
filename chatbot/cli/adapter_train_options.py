"""The options of `chatbot adapter train`: each with what it means."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chatbot.cli.configured import personas_like


class Preset(StrEnum):
    """How long to train."""

    QUICK = "quick"
    NORMAL = "normal"
    THOROUGH = "thorough"


Name = Annotated[str | None, typer.Option(help="Name of the persona; by default that of --persona.")]
Base = Annotated[str | None, typer.Option(help="Model to train on; by default the one that is served.")]
PersonaFile = Annotated[Path | None, typer.Option(help="File as persona.toml is: name, description, system, sampling.")]
System = Annotated[str | None, typer.Option(help='System prompt; by default the one all rows carry. "" gives none.')]
Description = Annotated[str | None, typer.Option(help="One line for lists of personas.")]
HowLong = Annotated[Preset, typer.Option(help="How long to train.")]
Epochs = Annotated[int | None, typer.Option(min=1, max=1000, help="How often each chat is seen.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Most steps to train; by default all of the epochs.")]
LearningRate = Annotated[float | None, typer.Option(min=1e-7, max=1.0, help="Learning rate.")]
Rank = Annotated[int | None, typer.Option(min=1, max=512, help="Rank of the adapter.")]
MaxLength = Annotated[int | None, typer.Option(min=16, help="Longest chat in tokens; longer ones are cut.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same adapter.")]
Validation = Annotated[Path | None, typer.Option(help="Chats to validate on; by default a tenth of the data.")]
From = Annotated[
    str | None,
    typer.Option("--from", autocompletion=personas_like, help="Persona or adapter folder to go on from."),
]
Out = Annotated[Path | None, typer.Option(help="Folder to publish to; by default your own adapters.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run, or fail if there is none.")]
Restart = Annotated[bool, typer.Option("--restart", help="Throw an interrupted run away, and begin at the start.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check, plan and measure, but do not train.")]

"""Writes data like that of the bundled personas: `python -m adapters.recipes.personas NAME ... --out DIR`, or `all`.

The same parts always give the same file. The shipped files were written by earlier parts, so no folder is the default.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from adapters.recipes.personas.chats import chats, write
from adapters.recipes.personas.pirate import PIRATE
from adapters.recipes.personas.poet import POET
from adapters.recipes.personas.tutor import TUTOR

VOICES = {voice.name: voice for voice in (PIRATE, POET, TUTOR)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the data file of each persona that is named."""
    parser = argparse.ArgumentParser(prog="python -m adapters.recipes.personas", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*VOICES, "all"], metavar="NAME", help="pirate, poet, tutor or all")
    parser.add_argument("--out", type=Path, required=True, help="folder for a folder of each persona")
    chosen = parser.parse_args(arguments)
    for name in VOICES if "all" in chosen.names else chosen.names:
        path = chosen.out / name / "data.jsonl.xz"
        print(f"{path}: {write(path, chats(VOICES[name]))} chats")


if __name__ == "__main__":
    main()

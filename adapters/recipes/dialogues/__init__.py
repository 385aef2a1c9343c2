"""Own dialogues for the bundled model: hand-written grammars, slot lists and small-talk trees, drawn from a seed."""

from adapters.recipes.dialogues.dialogue import Dialogue, dialogues

__all__ = ["Dialogue", "dialogues"]

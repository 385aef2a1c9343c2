"""What a slot of a template is filled with: a listed value or, often, an invented one."""

from __future__ import annotations

import random

from adapters.recipes.dialogues.inventions import INVENTORS
from adapters.recipes.dialogues.slot_values import held_out_words, slot_values

__all__ = ["draw", "draw_to_remember", "held_out_words", "slot_values"]

_INVENTED_NAMES = 0.4
_INVENTED_WORDS = 0.1
_NAMES = frozenset(("name", "surname", "petname", "city", "bot"))
_INVENTED_TO_REMEMBER = 0.6


def draw(slot: str, rng: random.Random, *, held_out: bool = False) -> str:
    """One value for a slot; only its held-out values where asked for and where there are any."""
    values = slot_values()[slot]
    if held_out and values.held_out:
        return rng.choice(values.held_out)
    return _drawn(slot, rng, _INVENTED_NAMES if slot in _NAMES else _INVENTED_WORDS)


def draw_to_remember(slot: str, rng: random.Random) -> str:
    """One value for a fact that is asked for again; half of these cannot be guessed."""
    return _drawn(slot, rng, _INVENTED_TO_REMEMBER)


def _drawn(slot: str, rng: random.Random, invented_share: float) -> str:
    if slot in INVENTORS and rng.random() < invented_share:
        return INVENTORS[slot](rng)
    return rng.choice(slot_values()[slot].training)

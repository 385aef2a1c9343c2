"""A chat of a persona, as it is until it is written down."""

Turns = list[str]
"""The texts of a chat, turn by turn, the user's first."""

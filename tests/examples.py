"""How many examples a property gets: as many as it can afford in every run, and more in a thorough one."""

from hypothesis import settings

USUAL = 100


def examples(usual: int) -> int:
    """Return how many there are under the profile that is chosen, given how many there are usually."""
    return usual * settings().max_examples // USUAL

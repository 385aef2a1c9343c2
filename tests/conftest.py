"""What a property finds counts, not how long an example took: a busy machine stands still now and then."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile("unhurried")

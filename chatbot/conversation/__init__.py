"""The heart: what was said becomes what the model sees, and what it answers becomes what was said."""

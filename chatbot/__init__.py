"""The chat backend that remembers: conversation -> context -> engine -> adapter."""

__version__ = "0.1.0"

"""The documentation, and what generates the parts of it that are read off the code."""

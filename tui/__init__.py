"""The terminal client: a Textual app, and plain mode for pipes and screen readers."""

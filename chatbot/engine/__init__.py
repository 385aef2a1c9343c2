"""Engines turn a conversation, an adapter and sampling settings into a stream of text."""

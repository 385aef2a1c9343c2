"""Turns example chats into personas: LoRA adapters in versioned folders that a running server picks up."""

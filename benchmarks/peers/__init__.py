"""Those that are measured beside each other, all asked in the same way."""

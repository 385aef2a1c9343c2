"""Word vectors for recall by meaning, made from public texts: one command, no model from elsewhere."""

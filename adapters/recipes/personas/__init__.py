"""Makes the data of the bundled personas from hand-written parts and from the base model's own dialogues."""

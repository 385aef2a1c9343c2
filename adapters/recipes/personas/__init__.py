"""Makes the data of the bundled personas from hand-written parts."""

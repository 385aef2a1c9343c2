"""What is seen: one widget a file."""

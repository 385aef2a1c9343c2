"""What a model and its adapters can do, measured with the project's own questions through the project's engine."""

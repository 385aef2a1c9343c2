"""Measures the engine beside its peers, on the same weights, in the same run. `python -m benchmarks --help`."""

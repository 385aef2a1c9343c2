"""The workloads W1 to W6, a file each; W7, that all of it is also right, is in tests/engine."""

"""The fused network's forward as one compiled function, for CPUs: made from forward.c by the machine's own compiler."""

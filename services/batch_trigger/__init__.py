"""The barrier: waits for all markets of a run, then decides what the batch is."""

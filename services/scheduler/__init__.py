"""Turns a tick into a run: one manifest, then one message per market."""

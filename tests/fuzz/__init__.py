"""Hostile input against the four services as they are wired, over real HTTP."""

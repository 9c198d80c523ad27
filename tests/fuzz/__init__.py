"""Hostile input against the services as they are wired, over real HTTP."""

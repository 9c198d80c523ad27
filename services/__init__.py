"""The four services. Each has settings, decisions, handlers, wiring and `__main__`; ports where it needs more."""

"""The four services. Each has the same files: settings, ports, decisions, handlers, wiring, `__main__`."""

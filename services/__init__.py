"""The services. Each has settings, decisions, handlers, wiring, `__main__` and what it is, as data: `service.json`."""

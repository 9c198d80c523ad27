"""Mutation testing of the decisions and of the load: `python -m tests.mutation`."""

"""The operator's tools: which stack is meant, what can be done with it, and the command line."""

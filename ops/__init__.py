"""The operator's toolbox: which stack, what a run looks like, what may be done about it, and the command line."""

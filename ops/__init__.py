"""The operator's toolbox: which stack, what may be done about it, and the command line."""

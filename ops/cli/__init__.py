"""The command line `releases`: arguments in, tables, JSON or YAML out; the work is done by the rest of `ops`."""

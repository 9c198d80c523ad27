"""The command line `releases`: arguments in, the toolbox of `ops` in between, tables or JSON out."""

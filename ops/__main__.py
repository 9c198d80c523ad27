"""`python -m ops`: the command line `releases`."""

from ops.cli.app import main

main()

"""What a run is, read from the bucket's documents; the command line and the dashboard share it.

Modules: `status` tells how a run stands; `cause` why it is not whole in the table; `why` what happened to one market;
`recent` finds the newest runs. Not here: how any of it is shown, and whatever changes a run.
"""

"""What a run is, read from the bucket's documents: for the command line and for the dashboard, and owned by neither.

Modules: `status` tells how a run stands; `why` tells the story of one market; `recent` finds the newest runs. Not here:
how any of it is shown, and whatever changes a run.
"""

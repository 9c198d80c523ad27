"""The cluster manager's ways out: Dataproc, and the table to be counted."""

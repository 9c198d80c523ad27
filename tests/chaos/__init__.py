"""Real processes, killed and restarted at random."""

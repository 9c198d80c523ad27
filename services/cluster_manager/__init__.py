"""Gives each decision its cluster and job, writes the receipt, and leaves no cluster behind."""

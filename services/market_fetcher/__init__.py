"""Fetches one market of a run from Spotify: completely, once, and within the quota."""

"""The market fetcher's ways out: Spotify over HTTP, its budget, and Secret Manager."""

"""The market fetcher's ways out: Spotify over HTTP and its budget."""

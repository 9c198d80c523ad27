"""The runtime the services share: receive, settle, publish, store, log, start and stop."""

"""The infrastructure, read as text: what can be known of it without a cloud."""

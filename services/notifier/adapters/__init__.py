"""The notifier's ways out: to people, and to the views."""

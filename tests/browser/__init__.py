"""The dashboard in a real browser: its tests, a measurement, and the pictures of the README."""

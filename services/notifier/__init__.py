"""Tells people what a run became: what the week brought, or what failed and what to do."""

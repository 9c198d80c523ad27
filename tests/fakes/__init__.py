"""Fakes with memory; each passes the contract suite of what it stands for."""

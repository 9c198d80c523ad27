"""A package, so that pytest does not put this folder, with its `services.py`, before the product's `services`."""

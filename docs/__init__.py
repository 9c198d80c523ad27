"""The pages, and what writes those parts of them that can be read from the code: `python -m docs`."""

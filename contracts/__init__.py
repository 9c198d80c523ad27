"""The wire and the documents: what the services say to each other and leave in the bucket.

Pure data. Nothing here opens a socket, reads the environment or asks for the time.
"""

__version__ = "0.1.0"
"""The project's version, here alone: the package, `releases --version`, AsyncAPI and OpenAPI have it from here."""

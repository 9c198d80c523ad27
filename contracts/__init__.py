"""The wire and the documents: what the services say to each other and leave in the bucket.

Pure data. Nothing here opens a socket, reads the environment or asks for the time.
"""

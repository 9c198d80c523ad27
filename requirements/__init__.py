"""What is installed, pinned by hash, and what installs it."""

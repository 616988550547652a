"""What is to happen after a commit."""

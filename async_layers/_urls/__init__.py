"""A database's URL, prepared for its world."""

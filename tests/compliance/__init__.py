"""SQLAlchemy's own compliance suite, for its own dialects and for ours."""

"""SQLAlchemy's own compliance suite, for its SQLite dialects and for ours."""

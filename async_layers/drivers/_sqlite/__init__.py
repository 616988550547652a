"""What the pair of SQLite dialects shares: one control of their transactions."""

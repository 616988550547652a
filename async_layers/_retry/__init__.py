"""Running a transaction again: what for, how often, and what is told of it; no I/O."""

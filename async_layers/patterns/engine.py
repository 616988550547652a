"""Facts of engine."""

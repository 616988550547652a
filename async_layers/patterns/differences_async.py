"""Facts of differences."""

"""Facts of session."""

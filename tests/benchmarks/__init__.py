"""How fast the helpers are, beside the same work in plain SQLAlchemy."""

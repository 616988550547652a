"""How a trace is made: SQLAlchemy's events in, the events of three lanes out."""

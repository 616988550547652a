"""The engine, connection and session of SQLAlchemy in pairs."""

"""Dialects of SQLAlchemy, where a stock one is wrong or slow, in pairs."""

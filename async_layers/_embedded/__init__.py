"""The programs of PostgreSQL, and who ends them."""

"""What both PostgreSQL dialects share, and what asyncpg needs beyond it."""

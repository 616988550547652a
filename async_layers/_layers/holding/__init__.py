"""Who holds a connection of the pool, from which line, and in which loop."""

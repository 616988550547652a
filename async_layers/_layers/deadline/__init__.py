"""How long a scope may wait: the clock, what is told to the server, what is cut."""

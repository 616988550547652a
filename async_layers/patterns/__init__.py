"""The facts: each a pair of functions, and the trace that both must leave."""

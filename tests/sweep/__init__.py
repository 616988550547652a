"""Bodies that are cancelled at each of their awaits, and what is left of them.

`python -m tests.sweep` sweeps every asyncio fact at every await; the suite takes some
awaits of each, and all of those of the helpers.
"""

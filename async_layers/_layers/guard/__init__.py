"""Two tasks, or threads, in one transaction: who may use it, and who may end it."""

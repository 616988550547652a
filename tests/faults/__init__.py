"""Each fault of a server or a network, under a load of bank transfers.

    python -m tests.faults --help

A *fault* (`_network.py`, `_servers.py`, `_commit.py`, `_promotion.py`) happens while
workers, threads or tasks (`_threads.py`, `_tasks.py`), transfer money by the helpers of
the package (`_ways.py`, `_ways_async.py`).
Each writes down what it was told of each transfer (`_book.py`); afterwards that is
compared with what the bank holds (`_bank.py`, `_verdict.py`): the truth.
"""

"""How a transaction ended."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """How a transaction ended, as far as anybody can know."""

    COMMITTED = "committed"
    """The database has said so."""

    ROLLED_BACK = "rolled back"
    """Nothing of it is left: the database has said so, or was never told to commit."""

    RELEASED = "released"
    """It was a savepoint, and ends as the transaction around it does."""

    UNKNOWN = "unknown"
    """The connection was lost while COMMIT was under way: ask the database.

    Or the transaction was over several connections, which did not end alike.
    """

"""The seconds of a scope; no I/O."""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)

from async_layers._options import require_seconds
from async_layers.deadline import DeadlineExceeded

POOL: Final = "waiting for the pool"
CONNECTING: Final = "connecting"
STATEMENT: Final = "a statement"
COMMIT: Final = "COMMIT"

# Of a statement that was wrong by itself, however late it was.
_OWN = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
_LONGEST = 1e8  # seconds: three years, which a lock can be told to wait
_SHOWN = 60  # of a statement, in an error


class Budget:
    """How many seconds a scope has, from now on."""

    __slots__ = ("end", "seconds")

    def __init__(self, seconds: float) -> None:
        require_seconds("deadline", seconds)
        self.seconds = seconds
        self.end = time.monotonic() + min(seconds, _LONGEST)

    @property
    def left(self) -> float:
        """The seconds that are left, 0 when the time is over."""
        return max(0.0, self.end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Say whether no time is left."""
        return time.monotonic() >= self.end

    def refused(self, part: str, words: str = "") -> DeadlineExceeded:
        """Return the error of what is not begun any more."""
        return self._error(part, words, "is refused", "which is over")

    def stopped(self, part: str, words: str = "") -> DeadlineExceeded:
        """Return the error of what was stopped."""
        return self._error(part, words, "was stopped", "which ended meanwhile")

    def _error(self, part: str, words: str, what: str, how: str) -> DeadlineExceeded:
        shown = f" ({shortened(words)!r})" if words else ""
        return DeadlineExceeded(
            f"{part[0].upper()}{part[1:]}{shown} {what}: seen a deadline of "
            f"{self.seconds:g} seconds, {how}; write a longer deadline, or do less "
            "in the scope.",
            part=part,
            seconds=self.seconds,
        )


def shortened(words: str) -> str:
    """Return how a statement begins, on one line."""
    line = " ".join(words.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def may_be_late(error: BaseException) -> bool:
    """Say whether an error may be that of an operation that was stopped."""
    if isinstance(error, DBAPIError):
        return not isinstance(error, _OWN)
    return isinstance(error, OSError) and not isinstance(error, DeadlineExceeded)

"""The deadline of one scope: what runs is stopped when the time is over."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy.exc import TimeoutError  # noqa: A004 - the pool's

from async_layers._layers.deadline.budget import (
    COMMIT,
    CONNECTING,
    POOL,
    STATEMENT,
    Budget,
    may_be_late,
)
from async_layers._layers.deadline.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Pool

    from async_layers._layers.deadline.clock import LoopClock, ThreadClock

# Seconds after the deadline. A COMMIT that is as good as done is left alone for the
# first; who has not stopped by the second is cut off. PostgreSQL acknowledges a COMMIT
# that is asked to stop while it waits for a standby, though no standby has it.
_LENIENT: Final = 0.25
_GRACE: Final = 0.5


class Limit:
    """The time of one scope, and who looks at it."""

    def __init__(self, seconds: float, clock: LoopClock | ThreadClock) -> None:
        self.budget = Budget(seconds)
        self.running: Operation | None = None
        self._clock = clock

    def stop(self) -> None:
        """Look at the time no more."""
        self._clock.stop()

    async def settled(self) -> None:
        """Wait for what is being done under asyncio, where no greenlet can."""
        await cast("LoopClock", self._clock).settled()

    def connecting(self, pool: Pool) -> Operation:
        """Return the operation of checking out: nobody is there to be asked."""
        return Operation(POOL, pool, ask=None, cut=self.budget.end)

    def setting(self, pool: Pool) -> Operation:
        """Return the operation of a connection that is told its options."""
        return Operation(CONNECTING, pool, ask=None, cut=self.budget.end)

    def statement(self, pool: Pool, words: str) -> Operation:
        """Return the operation of a statement."""
        end = self.budget.end
        cut = None if _of(pool) == "sqlite" else end + _GRACE
        operation = Operation(STATEMENT, pool, ask=end, cut=cut)
        operation.words = words
        return operation

    def commit(self, pool: Pool) -> Operation:
        """Return the operation of a COMMIT.

        Only PostgreSQL is asked: it says what became of it. SQLite waits for
        no longer than its busy timeout.
        """
        end, database = self.budget.end, _of(pool)
        ask = end + _LENIENT if database == "postgresql" else None
        cut = None if database == "sqlite" else end + _LENIENT + _GRACE / 2
        return Operation(COMMIT, pool, ask=ask, cut=cut)

    def ending(self, pool: Pool, part: str) -> Operation:
        """Return the operation of what is done even when the time is over."""
        end = max(self.budget.end, time.monotonic()) + _GRACE
        return Operation(part, pool, ask=None, cut=end)

    @contextmanager
    def watch(self, operation: Operation) -> Iterator[Operation]:
        """Stop what runs in the block when the time is over, and say so then."""
        outer, self.running = self.running, operation
        self._clock.watch(operation)
        try:
            yield operation
        except Exception as error:
            if self.budget.is_over and _is_late(operation, error):
                raise self.budget.stopped(operation.part, operation.words) from error
            raise
        finally:
            self.running = outer
            self._clock.watch(outer)
            if operation.unheard:
                operation.cut_off()


def _of(pool: Pool) -> str:
    """Return the name of a pool's database."""
    return str(getattr(pool._dialect, "name", ""))  # noqa: SLF001 - no public name


def _is_late(operation: Operation, error: Exception) -> bool:
    """Say whether an error is that of the time, and not one of its own."""
    if operation.part in {POOL, CONNECTING}:
        return isinstance(error, TimeoutError) == (operation.part == POOL)
    return may_be_late(error)


# The deadline of the scope that checks a connection out at this moment.
OPENING: ContextVar[Limit | None] = ContextVar("opening", default=None)

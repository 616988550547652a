"""Scopes with a deadline, in either world, and how long they hold their caller."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import pytest
from sqlalchemy import Engine, text

from async_layers import async_transaction, transaction
from async_layers._layers.deadline import limit, stop
from async_layers._layers.deadline.limit import Limit
from tests.postgresql._dialects import on

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_layers import Outcome
    from tests.postgresql._dialects import Side

# A face of psycopg's for each world, and asyncpg as ours and as SQLAlchemy's.
EACH: Final = ("ours", "psycopg_async", "ours_async", "asyncpg")
each = on(*EACH)
# One for each world: what follows is not the driver's.
both = on("ours", "ours_async")

BRIEF: Final = 0.2  # seconds: enough to begin with, and soon over
SOON: Final = 0.1
AMPLE: Final = 30.0
BOUND: Final = 1.0  # seconds that a caller may be held over the deadline
SLEEP: Final = text("SELECT pg_sleep(30)")
ONE: Final = text("SELECT 1")


class Ended(NamedTuple):
    """How a scope ended: with which error, which outcome and how much too late."""

    error: Any
    outcome: Outcome | None
    over: float


def within(side: Side, deadline: float, body: Callable[[Connection], object]) -> Ended:
    """Run a body in a transaction with a deadline; return how it ended."""
    engine = side.opened
    if isinstance(engine, Engine):
        return _within(engine, deadline, body)

    async def scoped(engine: AsyncEngine) -> Ended:
        scope = async_transaction(engine, deadline=deadline)
        watched = _Watched(deadline, body)
        error = None
        try:
            async with scope as connection:
                await connection.run_sync(watched)
        except Exception as raised:  # noqa: BLE001 - it is returned
            error = raised
        return Ended(error, scope.outcome, watched.over)

    return side.drive(scoped)


def _within(
    engine: Engine, deadline: float, body: Callable[[Connection], object]
) -> Ended:
    scope = transaction(engine, deadline=deadline)
    watched = _Watched(deadline, body)
    error = None
    try:
        with scope as connection:
            watched(connection)
    except Exception as raised:  # noqa: BLE001 - it is returned
        error = raised
    return Ended(error, scope.outcome, watched.over)


class _Watched:
    """A body, and by how much its deadline is over."""

    def __init__(self, deadline: float, body: Callable[[Connection], object]) -> None:
        self._end = time.monotonic() + deadline
        self._body = body

    def __call__(self, connection: Connection) -> None:
        try:
            self._body(connection)
        finally:
            self._end = cast("Any", connection).limit.budget.end

    @property
    def over(self) -> float:
        return time.monotonic() - self._end


def run_out(connection: Connection, seconds: float = 0) -> None:
    """Let the time of a scope be over at once, or soon."""
    cast("Any", connection).limit.budget.end = time.monotonic() + seconds


def is_held_too_long(ended: Ended) -> bool:
    """Say whether the caller was held for longer than is promised."""
    return ended.over > BOUND


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers less time to stop than they have, which tests would wait for."""
    monkeypatch.setattr(limit, "_GRACE", 0.1)
    monkeypatch.setattr(limit, "_LENIENT", 0.05)
    monkeypatch.setattr(stop, "BOUND", 0.08)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[Limit]:
    """Return the deadlines that scopes of the test have."""
    made = list[Limit]()

    def make(*arguments: Any) -> Limit:
        made.append(Limit(*arguments))
        return made[-1]

    monkeypatch.setattr("async_layers._layers.deadline.limited.Limit", make)
    return made

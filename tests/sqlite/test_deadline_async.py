"""A deadline on SQLite, which is interrupted, and waits for no lock beyond it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from async_layers import (
    DeadlineExceeded,
    Outcome,
    async_engine_scope,
    async_transaction,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

AMPLE = 30.0
BOUND = 1.0  # seconds that a caller may be held over the deadline
ENDLESS = text(
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) "
    "SELECT count(*) FROM numbers"
)
INSERT = text("INSERT INTO number VALUES (1)")
COUNT = text("SELECT count(*) FROM number")
BUSY_TIMEOUT = text("PRAGMA busy_timeout")


def run_out(connection: AsyncConnection, seconds: float = 0) -> None:
    """Let the time of a scope be over at once, or soon."""
    sync: Any = connection.sync_connection
    sync.limit.budget.end = time.monotonic() + seconds


@pytest.fixture(params=["sqlite", "sqlite+aiosqlite"])
async def engine(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[AsyncEngine]:
    """Return an engine of a file, of our dialect and of SQLAlchemy's own."""
    url = f"{request.param}:///{tmp_path / 'file'}"
    async with async_engine_scope(url) as engine:
        async with async_transaction(engine) as connection:
            await connection.execute(text("CREATE TABLE number (n integer)"))
        yield engine


async def test_a_statement_without_end_is_interrupted(engine: AsyncEngine) -> None:
    """The connection is as good as before."""
    scope = async_transaction(engine, deadline=AMPLE)
    with pytest.raises(DeadlineExceeded) as caught:
        async with scope as connection:
            begun = time.monotonic()
            run_out(connection, 0.1)
            await connection.execute(ENDLESS)
    assert time.monotonic() - begun < BOUND
    assert ("a statement", Outcome.ROLLED_BACK) == (caught.value.part, scope.outcome)
    async with async_transaction(engine) as connection:
        assert 0 == await connection.scalar(COUNT)


async def test_a_busy_writer_is_not_waited_for_too_long(engine: AsyncEngine) -> None:
    """Neither in the line of our dialect, nor in SQLite's own wait of 5 seconds."""
    async with async_transaction(engine) as other:
        await other.execute(INSERT)
        with pytest.raises(DeadlineExceeded) as caught:
            await _write_soon(engine)
    assert isinstance(caught.value.__cause__, OperationalError)
    async with async_transaction(engine) as connection:
        found = await connection.scalar(BUSY_TIMEOUT), await connection.scalar(COUNT)
    assert (5000, 1) == found


async def _write_soon(engine: AsyncEngine) -> None:
    begun = time.monotonic()
    try:
        async with async_transaction(engine, deadline=AMPLE) as connection:
            run_out(connection, 0.1)
            await connection.execute(INSERT)
    finally:
        assert time.monotonic() - begun < BOUND


async def test_a_commit_is_refused_when_the_time_is_over(engine: AsyncEngine) -> None:
    """It rolls back, and says so."""
    scope = async_transaction(engine, deadline=AMPLE)
    with pytest.raises(DeadlineExceeded) as caught:
        async with scope as connection:
            await connection.execute(INSERT)
            run_out(connection)
    assert ("COMMIT", Outcome.ROLLED_BACK) == (caught.value.part, scope.outcome)
    async with async_transaction(engine) as connection:
        assert 0 == await connection.scalar(COUNT)


async def test_a_scope_in_time_is_as_any_other(engine: AsyncEngine) -> None:
    """It commits, and SQLite waits for locks as it did."""
    scope = async_transaction(engine, deadline=AMPLE)
    async with scope as connection:
        await connection.execute(INSERT)
        async with connection.stream(text("SELECT n FROM number")) as rows:
            assert [(1,)] == [row async for row in rows]
    assert Outcome.COMMITTED is scope.outcome
    async with async_transaction(engine) as connection:
        found = await connection.scalar(BUSY_TIMEOUT), await connection.scalar(COUNT)
    assert (5000, 1) == found

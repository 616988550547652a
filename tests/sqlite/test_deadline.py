"""A deadline on SQLite, which is interrupted, and waits for no lock beyond it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from async_layers import DeadlineExceeded, Outcome, engine_scope, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

AMPLE = 30.0
BOUND = 1.0  # seconds that a caller may be held over the deadline
ENDLESS = text(
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) "
    "SELECT count(*) FROM numbers"
)
INSERT = text("INSERT INTO number VALUES (1)")
COUNT = text("SELECT count(*) FROM number")
BUSY_TIMEOUT = text("PRAGMA busy_timeout")


def run_out(connection: Any, seconds: float = 0) -> None:
    """Let the time of a scope be over at once, or soon."""
    connection.limit.budget.end = time.monotonic() + seconds


@pytest.fixture(params=["sqlite", "sqlite+pysqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Return an engine of a file, of our dialect and of SQLAlchemy's own."""
    with engine_scope(f"{request.param}:///{tmp_path / 'file'}") as engine:
        with transaction(engine) as connection:
            connection.execute(text("CREATE TABLE number (n integer)"))
        yield engine


def test_a_statement_without_end_is_interrupted(engine: Engine) -> None:
    """The connection is as good as before."""
    scope = transaction(engine, deadline=AMPLE)
    with pytest.raises(DeadlineExceeded) as caught, scope as connection:
        begun = time.monotonic()
        run_out(connection, 0.1)
        connection.execute(ENDLESS)
    assert time.monotonic() - begun < BOUND
    assert ("a statement", Outcome.ROLLED_BACK) == (caught.value.part, scope.outcome)
    with transaction(engine) as connection:
        assert 0 == connection.scalar(COUNT)


def test_a_busy_writer_is_not_waited_for_too_long(engine: Engine) -> None:
    """Neither in the line of our dialect, nor in SQLite's own wait of 5 seconds."""
    with transaction(engine) as other:
        other.execute(INSERT)
        with pytest.raises(DeadlineExceeded) as caught:
            _write_soon(engine)
    assert isinstance(caught.value.__cause__, OperationalError)
    with transaction(engine) as connection:
        assert (5000, 1) == (connection.scalar(BUSY_TIMEOUT), connection.scalar(COUNT))


def _write_soon(engine: Engine) -> None:
    begun = time.monotonic()
    try:
        with transaction(engine, deadline=AMPLE) as connection:
            run_out(connection, 0.1)
            connection.execute(INSERT)
    finally:
        assert time.monotonic() - begun < BOUND


def test_a_busy_timeout_that_is_less_has_its_own_error(tmp_path: Path) -> None:
    """The deadline makes no wait longer, and takes no other's error for its own."""
    url, arguments = f"sqlite+pysqlite:///{tmp_path / 'file'}", {"timeout": 0.01}
    with engine_scope(url, connect_args=arguments) as engine:
        with transaction(engine) as connection:
            connection.execute(text("CREATE TABLE number (n integer)"))
        with transaction(engine) as other:
            other.execute(INSERT)
            with (
                pytest.raises(OperationalError, match="locked"),
                transaction(engine, deadline=AMPLE) as connection,
            ):
                connection.execute(INSERT)


def test_a_commit_is_refused_when_the_time_is_over(engine: Engine) -> None:
    """It rolls back, and says so."""
    scope = transaction(engine, deadline=AMPLE)
    with pytest.raises(DeadlineExceeded) as caught, scope as connection:
        connection.execute(INSERT)
        run_out(connection)
    assert ("COMMIT", Outcome.ROLLED_BACK) == (caught.value.part, scope.outcome)
    with transaction(engine) as connection:
        assert 0 == connection.scalar(COUNT)


def test_a_scope_in_time_is_as_any_other(engine: Engine) -> None:
    """It commits, and SQLite waits for locks as it did."""
    scope = transaction(engine, deadline=AMPLE)
    with scope as connection:
        connection.execute(INSERT)
        assert [(1,)] == list(_stream(connection))
    assert Outcome.COMMITTED is scope.outcome
    with transaction(engine) as connection:
        assert (5000, 1) == (connection.scalar(BUSY_TIMEOUT), connection.scalar(COUNT))


def _stream(connection: Connection) -> Iterator[Any]:
    options = {"stream_results": True, "yield_per": 1}
    statement = text("SELECT n FROM number")
    yield from connection.execute(statement, execution_options=options)

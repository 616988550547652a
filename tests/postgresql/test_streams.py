"""Streams that fail, in mid-rows and at their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Integer, literal, select, text
from sqlalchemy.exc import PendingRollbackError

from tests.postgresql import _faults
from tests.postgresql._dialects import ASYNCPG, wrong_on
from tests.postgresql._faults import (
    NUMBERS,
    Seen,
    backend,
    counts,
    end_backend,
    failure,
    lost_cursors,
    stream,
)

if TYPE_CHECKING:
    from typing import Any

    import psycopg
    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

BARE = "an error of a stream is asyncpg's own, and is not wrapped"
RUNS = "asyncpg streams any statement"
CLASSES = "most SQLSTATEs have no class of their own, and become a bare DBAPIError"

DIVIDED = Seen("DataError", "22012")
ENDED = Seen("OperationalError", "57P01", invalidated=True)

INSERT = "INSERT INTO {schema}.number VALUES (1) RETURNING n"
FAILS_AT_500 = "SELECT 1 / (500 - n), n FROM generate_series(1, 1000) AS n"


@wrong_on(ASYNCPG, BARE)
def test_an_error_in_mid_stream_has_its_class(side: Side) -> None:
    """The row that cannot be computed raises what it would raise without a stream."""

    def body(connection: Connection) -> tuple[Seen, list[int]]:
        rows = list[int]()

        def read() -> None:
            rows.extend(row.n for row in stream(connection, FAILS_AT_500))

        return failure(read), rows

    found, rows = side.run(body)
    assert DIVIDED == found
    assert list(range(1, len(rows) + 1)) == rows
    assert 400 < len(rows) < 500


@wrong_on(ASYNCPG, "asyncpg refuses it before it is sent")
def test_a_value_that_is_too_large_for_a_stream_is_refused_by_the_server(
    side: Side,
) -> None:
    """What would refuse the statement without a stream refuses it with one."""
    options = {"stream_results": True}

    def body(connection: Connection) -> Seen:
        statement = select(literal(2**40, Integer)).execution_options(**options)
        return failure(lambda: connection.scalars(statement).all())

    assert Seen("DataError", "22003") == side.run(body)


@wrong_on(ASYNCPG, BARE)
def test_an_error_in_mid_stream_fails_the_transaction(side: Side) -> None:
    """After it every statement is 25P02; after the rollback the connection goes on."""

    def body(connection: Connection) -> tuple[Seen, object]:
        number = backend(connection)
        failure(stream(connection, FAILS_AT_500).all)
        refused = failure(connection.execute, text("SELECT 1"))
        connection.rollback()
        return refused, number == backend(connection)

    assert (Seen("InternalError", "25P02"), True) == side.run(body)


@wrong_on(ASYNCPG, BARE)
def test_an_error_in_mid_stream_gives_the_connection_back(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """A block that a failed stream leaves returns its connection, idle, to the pool."""
    left = dict[str, int]()

    def read(engine: Engine) -> None:
        with engine.connect() as connection:
            left["backend"] = backend(connection)
            stream(connection, FAILS_AT_500).all()

    def body(engine: Engine) -> tuple[Seen, tuple[int, int]]:
        return failure(read, engine), counts(engine)

    assert (DIVIDED, (1, 0)) == own_side.on_engine(body)
    asked = "SELECT state FROM pg_stat_activity WHERE pid = %s"
    assert ("idle",) == observer.execute(asked, (left["backend"],)).fetchone()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT * FROM nowhere", Seen("ProgrammingError", "42P01")),
        ("SELECT FROM WHERE", Seen("ProgrammingError", "42601")),
    ],
)
def test_a_stream_that_cannot_begin_has_its_class(
    side: Side, statement: str, expected: Seen
) -> None:
    """A statement that the server refuses raises when it is executed."""

    def body(connection: Connection) -> Seen:
        return failure(stream, connection, statement)

    assert expected == side.run(body)


@wrong_on(ASYNCPG, CLASSES)
def test_a_stream_outside_a_transaction_is_refused(side: Side) -> None:
    """In autocommit there is no transaction for the rows to stay in: 25P01."""

    def body(connection: Connection) -> tuple[Seen, object]:
        refused = failure(stream, connection, NUMBERS)
        return refused, connection.scalar(text("SELECT 2"))

    expected = Seen("InternalError", "25P01")
    assert (expected, 2) == side.run(body, isolation_level="AUTOCOMMIT")


@wrong_on(ASYNCPG, CLASSES)
def test_a_stream_that_lasts_too_long_is_an_operational_error(side: Side) -> None:
    """statement_timeout ends a stream with 57014, as it ends a statement."""

    def body(connection: Connection) -> Seen:
        connection.execute(text("SET LOCAL statement_timeout = '20ms'"))
        return failure(
            lambda: stream(connection, "SELECT pg_sleep(5)").all(),
        )

    assert Seen("OperationalError", "57014") == side.run(body)


# --- a backend that ends


@lost_cursors
@wrong_on(ASYNCPG, BARE)
def test_a_backend_that_ends_in_mid_stream_is_an_operational_error(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """The next rows raise 57P01, and the connection is given up."""

    def body(connection: Connection) -> Seen:
        result = stream(connection, NUMBERS)
        result.fetchone()
        end_backend(observer, connection)
        return failure(result.all)

    assert ENDED == own_side.run(body)


@lost_cursors
@wrong_on(ASYNCPG, BARE)
def test_a_lost_stream_is_rolled_back_before_the_connection_goes_on(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """A statement is refused until the rollback; then it has a new connection."""

    def body(connection: Connection) -> object:
        result = stream(connection, NUMBERS)
        end_backend(observer, connection)
        failure(result.all)
        with pytest.raises(PendingRollbackError):
            connection.execute(text("SELECT 1"))
        connection.rollback()
        return connection.scalar(text("SELECT 2"))

    assert 2 == own_side.run(body)


@lost_cursors
@wrong_on(ASYNCPG, BARE)
def test_a_lost_stream_leaves_no_connection_behind(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """The pool lends none; where the lost one was it opens another."""

    def read(engine: Engine) -> None:
        with engine.connect() as connection:
            result = stream(connection, NUMBERS)
            end_backend(observer, connection)
            result.all()

    def body(engine: Engine) -> object:
        found = failure(read, engine), counts(engine)
        with engine.connect() as connection:
            return *found, connection.scalar(text("SELECT 2")), counts(engine)

    assert (ENDED, (1, 0), 2, (0, 1)) == own_side.on_engine(body)


# --- what may not be streamed


@wrong_on(ASYNCPG, RUNS)
def test_a_statement_that_writes_is_not_streamed(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """INSERT ... RETURNING is no query of a cursor: 42601."""
    observer.execute(f"CREATE TABLE {schema}.number (n int)".encode())

    def body(connection: Connection) -> Seen:
        return failure(stream, connection, INSERT.format(schema=schema))

    assert Seen("ProgrammingError", "42601") == side.run(body)


def test_a_query_in_parts_is_streamed(side: Side) -> None:
    """WITH streams what its last part returns, if no part of it writes."""
    words = "WITH n AS (SELECT 7 AS n) SELECT n FROM n"

    def body(connection: Connection) -> object:
        return stream(connection, words).scalars().all()

    assert [7] == side.run(body)


@wrong_on(ASYNCPG, RUNS)
def test_a_query_in_parts_that_write_is_refused_as_a_stream(side: Side) -> None:
    """No cursor of the server's is declared for one."""
    words = "WITH n AS (DELETE FROM pg_enum WHERE false RETURNING 7) SELECT * FROM n"

    def body(connection: Connection) -> Seen:
        return failure(stream, connection, words)

    assert Seen("NotSupportedError", "0A000") == side.run(body)

"""What the pool does with the transaction of a connection that comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.pool import NullPool

from tests.postgresql._dialects import open_side
from tests.postgresql._people import People, ends, state_of

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side

PID = select(func.pg_backend_pid())


def insert_by_cursor(people: People, raw: Any) -> int:
    """Insert a row by the driver's own cursor; return the backend."""
    cursor = raw.cursor()
    cursor.execute(f"INSERT INTO {people.schema}.person VALUES (1, 'carl')")  # noqa: S608
    cursor.execute("SELECT pg_backend_pid()")
    pid: int = cursor.fetchone()[0]
    cursor.close()
    return pid


@pytest.mark.parametrize(
    ("reset", "expected"),
    [
        ("rollback", ("idle", 0)),
        ("commit", ("idle", 1)),
        (None, ("idle in transaction", 0)),
    ],
)
def test_pool_resets_as_it_is_told(
    driver: str,
    postgresql_url: str,
    people: People,
    reset: str | None,
    expected: tuple[str, int],
) -> None:
    """A transaction that nobody ended is rolled back, committed, or left alone."""

    def body(engine: Engine) -> int:
        raw = engine.raw_connection()
        try:
            return insert_by_cursor(people, raw)
        finally:
            raw.close()

    with open_side(driver, postgresql_url, pool_reset_on_return=reset) as side:
        pid = side.on_engine(body)
        found = state_of(people.observer, pid), len(people.names())
    assert expected == found


def test_pool_that_commits_ends_a_failed_transaction(
    driver: str, postgresql_url: str, people: People
) -> None:
    """The server answers COMMIT with ROLLBACK, and the connection is of use."""

    def body(engine: Engine) -> int:
        raw = engine.raw_connection()
        cursor = raw.cursor()
        try:
            insert_by_cursor(people, raw)
            with pytest.raises(engine.dialect.loaded_dbapi.Error):
                cursor.execute("SELECT 1 / 0")
        finally:
            cursor.close()
            raw.close()
        with engine.connect() as connection:
            return int(connection.scalars(PID).one())

    with open_side(driver, postgresql_url, pool_reset_on_return="commit") as side:
        pid = side.on_engine(body)
        assert ("idle", []) == (state_of(people.observer, pid), people.names())


def test_closed_connection_is_rolled_back(side: Side, people: People) -> None:
    """`close()` without `commit()` leaves no row, and no transaction."""

    def body(connection: Connection) -> int:
        connection.execute(people.insert("carl"))
        return int(connection.scalars(PID).one())

    pid = side.run(body)
    assert ("idle", []) == (state_of(people.observer, pid), people.names())


def test_failed_transaction_goes_back_rolled_back(side: Side, people: People) -> None:
    """An error that leaves the block leaves the server idle."""
    seen: list[int] = []

    def body(connection: Connection) -> None:
        seen.extend(connection.scalars(PID))
        connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(DBAPIError):
        side.run(body)
    assert ["idle"] == [state_of(people.observer, pid) for pid in seen]


def test_closing_a_detached_connection_ends_it(people: People, own_side: Side) -> None:
    """It is the pool's no more: its transaction goes with it."""

    def body(engine: Engine) -> tuple[int, int]:
        with engine.connect() as connection:
            connection.execute(people.insert("carl"))
            connection.detach()
            connection.execute(people.insert("dora"))
            pid = connection.scalars(PID).one()
            return pid, engine.pool.checkedout()  # type: ignore[attr-defined]

    pid, lent = own_side.on_engine(body)
    assert (True, 0) == (ends(people.observer, pid), lent)
    assert [] == people.names()


def test_detached_connection_commits(people: People, own_side: Side) -> None:
    """Detaching changes nothing of the transaction."""

    def body(engine: Engine) -> None:
        with engine.connect() as connection:
            connection.execute(people.insert("carl"))
            connection.detach()
            connection.commit()

    own_side.on_engine(body)
    assert ["carl"] == people.names()


def test_invalidated_connection_is_ended_and_replaced(
    people: People, own_side: Side
) -> None:
    """Its transaction is over; it takes a rollback() to go on, on a new backend."""

    def body(engine: Engine) -> tuple[int, bool]:
        with engine.connect() as connection:
            connection.execute(people.insert("carl"))
            old = connection.scalars(PID).one()
            connection.invalidate()
            with pytest.raises(PendingRollbackError):
                connection.execute(people.insert("dora"))
            connection.rollback()
            connection.execute(people.insert("emma"))
            connection.commit()
            return old, old != connection.scalars(PID).one()

    old, replaced = own_side.on_engine(body)
    assert (True, True) == (ends(people.observer, old), replaced)
    assert ["emma"] == people.names()


def test_disposed_engine_begins_anew(people: People, own_side: Side) -> None:
    """What waits in the pool is closed; the engine opens a new connection."""

    def body(engine: Engine) -> list[int]:
        pids: list[int] = []
        for _ in range(2):
            with engine.connect() as connection:
                pids += connection.scalars(PID)
            engine.dispose()
        return pids

    first, second = own_side.on_engine(body)
    assert first != second
    assert all(ends(people.observer, pid) for pid in (first, second))


def test_pool_of_nothing_ends_each_connection(
    driver: str, postgresql_url: str, people: People
) -> None:
    """A NullPool keeps none, and what was not committed goes."""

    def body(engine: Engine) -> int:
        with engine.connect() as connection:
            connection.execute(people.insert("carl"))
            return int(connection.scalars(PID).one())

    with open_side(driver, postgresql_url, poolclass=NullPool) as side:
        pid = side.on_engine(body)
        assert ends(people.observer, pid)
    assert [] == people.names()

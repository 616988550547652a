"""Connections that the server ends: an OperationalError that says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, text

from tests.postgresql import _faults
from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    BLOCKING,
    open_side,
    wrong_on,
)
from tests.postgresql._faults import (
    NUMBERS,
    Seen,
    backend,
    connect,
    counts,
    driver_of,
    end_backend,
    failure,
    hear,
    last_words,
    lost_cursors,
    notice,
    overlook,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

UNSAID = "the server's last words are not told: 08003, or an InterfaceError"

ENDED = Seen("OperationalError", "57P01", invalidated=True)

ROWS = Table("lost", MetaData(), Column("n", Integer), prefixes=["TEMPORARY"])

# A message that the server sends when it likes: ParameterStatus.
PARAMETER = b"S\0\0\0\x11TimeZone\0UTC\0"

# What can be asked of a connection that has ended.
ACTS: dict[str, Callable[[Connection], object]] = {
    "a statement": lambda c: c.execute(text("SELECT 1")),
    "a parameter": lambda c: c.execute(text("SELECT CAST(:n AS int)"), {"n": 1}),
    "no rows": lambda c: c.execute(text("SET LOCAL work_mem = '4MB'")),
    "the driver's own SQL": lambda c: c.exec_driver_sql("SELECT 1"),
    "rows that return": lambda c: c.execute(
        insert(ROWS).returning(ROWS.c.n), [{"n": 1}, {"n": 2}]
    ),
    "a stream": lambda c: stream(c, NUMBERS),
    "a savepoint": lambda c: c.begin_nested(),
    "the level": lambda c: c.get_isolation_level(),
    "commit": lambda c: c.commit(),
    "rollback": lambda c: c.rollback(),
    "close": lambda c: c.close(),
}


@lost_cursors
@wrong_on(ASYNCPG, UNSAID)
@pytest.mark.parametrize("look", [notice, overlook])
def test_a_backend_that_ended_is_told_by_what_comes_next(
    own_side: Side,
    observer: psycopg.Connection[Any],
    look: Callable[[Connection], None],
) -> None:
    """Whatever it is, it is 57P01, whether an event loop has seen the end or not."""

    def ask(engine: Engine, act: Callable[[Connection], object]) -> Seen:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            end_backend(observer, connection)
            look(connection)
            found = failure(act, connection)
            if not connection.closed:
                connection.rollback()
            return found

    def body(engine: Engine) -> tuple[dict[str, Seen], tuple[int, int]]:
        return {name: ask(engine, act) for name, act in ACTS.items()}, counts(engine)

    assert (dict.fromkeys(ACTS, ENDED), (1, 0)) == own_side.on_engine(body)


@wrong_on(ASYNCPG, UNSAID)
def test_a_backend_that_ended_is_told_by_a_batch(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """Many rows in one go are refused like one; psycopg's pipeline forgets the code."""

    def body(connection: Connection) -> Seen:
        end_backend(observer, connection)
        return failure(connection.execute, insert(ROWS), [{"n": 1}, {"n": 2}])

    state = None if own_side.driver in BLOCKING else "57P01"
    assert ENDED._replace(sqlstate=state) == own_side.run(body)


@wrong_on(ASYNCPG, UNSAID)
def test_leaving_a_connection_that_ended_raises(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """A block whose connection ended inside cannot roll back, and says so."""

    def leave(engine: Engine) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            end_backend(observer, connection)

    def body(engine: Engine) -> object:
        return failure(leave, engine), connect(engine), counts(engine)

    assert (ENDED, 1, (1, 0)) == own_side.on_engine(body)


@wrong_on(ASYNCPG, UNSAID)
def test_a_block_that_begins_raises_the_first_error(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """The rollback that cannot be done hides neither the error nor the connection."""

    def write(engine: Engine) -> None:
        with engine.begin() as connection, connection.begin_nested():
            end_backend(observer, connection)
            connection.execute(text("SELECT 1"))

    def body(engine: Engine) -> object:
        return failure(write, engine), connect(engine), counts(engine)

    assert (ENDED, 1, (1, 0)) == own_side.on_engine(body)


@wrong_on(ASYNCPG, UNSAID)
def test_a_statement_whose_backend_ends_is_an_operational_error(
    own_side: Side,
) -> None:
    """The server ends the connection in the midst of its work: 57P01."""
    suicide = text("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)")

    def body(connection: Connection) -> tuple[Seen, object]:
        found = failure(connection.execute, suicide)
        connection.rollback()
        return found, connection.scalar(text("SELECT 2"))

    assert (ENDED, 2) == own_side.run(body)


WRITE, READ = "INSERT INTO {schema}.lost VALUES (1)", "SELECT n FROM {schema}.lost"
COMMIT_ENDS = """
CREATE TABLE {schema}.lost (n int);
CREATE FUNCTION {schema}.leave() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON {schema}.lost
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.leave()
"""


@wrong_on(ASYNCPG, UNSAID)
def test_a_backend_that_ends_in_commit_is_an_operational_error(
    own_side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """COMMIT raises 57P01; what it would have kept is not there."""
    observer.execute(COMMIT_ENDS.format(schema=schema).encode())

    def body(connection: Connection) -> Seen:
        connection.execute(text(WRITE.format(schema=schema)))
        return failure(connection.commit)

    assert ENDED == own_side.run(body)
    assert [] == observer.execute(READ.format(schema=schema).encode()).fetchall()


@wrong_on(ASYNCPG, UNSAID)
def test_a_session_goes_on_after_the_rollback(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """A session whose connection ended takes another one."""

    def body(session: Session) -> tuple[Seen, object]:
        end_backend(observer, session.connection())
        found = failure(session.scalar, text("SELECT 1"))
        session.rollback()
        return found, session.scalar(text("SELECT 2"))

    assert (ENDED, 2) == own_side.session(body)


@wrong_on(ASYNCPG, UNSAID, among=ASYNCIO)
@pytest.mark.parametrize("before", [b"", PARAMETER], ids=["alone", "behind"])
@pytest.mark.parametrize("name", ["a statement", "a stream", "commit", "rollback"])
def test_a_connection_of_which_only_the_last_words_have_come_is_lost(
    own_side: Side, name: str, before: bytes
) -> None:
    """The server has said why it ends the connection, and not ended it yet: 57P01."""

    def body(connection: Connection) -> tuple[Seen, object]:
        connection.execute(text("SELECT 1"))
        hear(connection, before + last_words("57P01", "planned"))
        found = failure(ACTS[name], connection)
        connection.rollback()
        return found, connection.scalar(text("SELECT 2"))

    assert (ENDED, 2) == own_side.run(body)


# --- the pool


def test_a_ping_mends_what_ended_in_the_pool(
    driver: str, postgresql_url: str, observer: psycopg.Connection[Any]
) -> None:
    """With pool_pre_ping the next user sees nothing of it."""

    def body(engine: Engine) -> object:
        with engine.connect() as connection:
            number, kept = backend(connection), driver_of(connection)
        end_backend(observer, kept)
        with engine.connect() as connection:
            return number != backend(connection), counts(engine)

    with open_side(driver, postgresql_url, pool_pre_ping=True) as side:
        assert (True, (0, 1)) == side.on_engine(body)


def test_one_that_ended_costs_the_pool_all_that_are_older(
    own_side: Side, observer: psycopg.Connection[Any]
) -> None:
    """After the first error the rest of the pool is replaced, and not tried."""

    def body(engine: Engine) -> object:
        together = [engine.connect() for _ in range(3)]
        drivers = [driver_of(connection) for connection in together]
        for connection in together:
            connection.close()
        for driver in drivers:
            end_backend(observer, driver)
        failure(connect, engine)
        together = [engine.connect() for _ in range(3)]
        found = [connection.scalar(text("SELECT 1")) for connection in together]
        for connection in together:
            connection.close()
        return found, counts(engine)

    assert ([1, 1, 1], (3, 0)) == own_side.on_engine(body)

"""Connections that the network loses: an OperationalError without an SQLSTATE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, text

from tests.postgresql import _faults
from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    wrong_on,
)
from tests.postgresql._faults import (
    NUMBERS,
    Seen,
    connect,
    counts,
    failure,
    lost_cursors,
    stream,
)
from tests.postgresql._servers import through

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side
    from tests.postgresql._proxy import Proxy

frozen, quiet = _faults.frozen, _faults.quiet

CLASSES = "08003 has no class of its own, and becomes a bare DBAPIError"

LOST = Seen("OperationalError", None, invalidated=True)

ROWS = Table("lost", MetaData(), Column("n", Integer), prefixes=["TEMPORARY"])
TWO = [{"n": 1}, {"n": 2}]

FAULTS: dict[str, Callable[[Proxy], None]] = {
    "FIN": lambda proxy: proxy.drop(),
    "RST": lambda proxy: proxy.drop(reset=True),
    "no answer": lambda proxy: proxy.cut(after=0),
    "part of the answer": lambda proxy: proxy.cut(after=7),
    "no question": lambda proxy: proxy.cut(of="client"),
}
ACTS: dict[str, Callable[[Connection], object]] = {
    "a statement": lambda c: c.execute(text("SELECT 1")),
    "no rows": lambda c: c.execute(text("SET LOCAL work_mem = '4MB'")),
    "a batch": lambda c: c.execute(insert(ROWS), TWO),
    "a batch that returns": lambda c: c.execute(insert(ROWS).returning(ROWS.c.n), TWO),
    "a stream": lambda c: stream(c, NUMBERS),
    "a savepoint": lambda c: c.begin_nested(),
    "commit": lambda c: c.commit(),
    "rollback": lambda c: c.rollback(),
    "close": lambda c: c.close(),
}
WRITE, READ = "INSERT INTO {schema}.lost VALUES (1)", "SELECT n FROM {schema}.lost"


@lost_cursors
@wrong_on(ASYNCPG, CLASSES)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_connection_that_is_lost_is_an_operational_error(
    driver: str, postgresql_url: str, fault: Callable[[Proxy], None]
) -> None:
    """Whatever was asked, the connection is given up, and the next one works."""
    assert (dict.fromkeys(ACTS, LOST), 1, (1, 0)) == seen(driver, postgresql_url, fault)


@lost_cursors
@wrong_on(ASYNCPG, CLASSES, among=ASYNCIO)
def test_a_connection_that_is_reset_in_an_answer_is_an_operational_error(
    driver: str, postgresql_url: str
) -> None:
    """So it is here; libpq now and then tells psycopg of the reset, and reads on."""
    found = seen(driver, postgresql_url, lambda proxy: proxy.cut(after=7, reset=True))
    assert (dict.fromkeys(ACTS, LOST), 1, (1, 0)) == found


def seen(driver: str, url: str, fault: Callable[[Proxy], None]) -> object:
    """Return what each act says of a fault, and what the next connection does."""

    def ask(engine: Engine, act: Callable[[Connection], object]) -> Seen:
        with engine.connect() as connection:
            ROWS.create(connection)
            fault(proxy)
            found = failure(act, connection)
            proxy.heal()
            if not connection.closed:
                connection.rollback()
            return found

    def body(engine: Engine) -> object:
        found = {name: ask(engine, act) for name, act in ACTS.items()}
        return found, connect(engine), counts(engine)

    with through(driver, url) as (proxy, side):
        return side.on_engine(body)


@wrong_on(ASYNCPG, CLASSES)
@pytest.mark.parametrize("after", [0, 1, 5, 100, 9000])
def test_an_answer_that_is_cut_is_an_operational_error(
    driver: str, postgresql_url: str, after: int
) -> None:
    """It makes no difference how much of the answer has arrived."""
    rows = text("SELECT n, repeat('x', 1000) FROM generate_series(1, 100) AS n")

    def body(connection: Connection) -> tuple[Seen, object]:
        connection.execute(rows)
        proxy.cut(after=after)
        found = failure(connection.execute, rows)
        connection.rollback()
        return found, connection.scalar(text("SELECT 2"))

    with through(driver, postgresql_url) as (proxy, side):
        assert (LOST, 2) == side.run(body)


@wrong_on(ASYNCPG, CLASSES)
def test_a_commit_whose_answer_is_lost_may_have_committed(
    driver: str, postgresql_url: str, observer: psycopg.Connection[Any], schema: str
) -> None:
    """The error tells of the connection alone: here the row is there."""
    observer.execute(f"CREATE TABLE {schema}.lost (n int)".encode())

    def body(connection: Connection) -> Seen:
        connection.execute(text(WRITE.format(schema=schema)))
        proxy.cut(after=0)
        return failure(connection.commit)

    with through(driver, postgresql_url) as (proxy, side):
        assert LOST == side.run(body)
    assert [(1,)] == observer.execute(READ.format(schema=schema).encode()).fetchall()


@pytest.mark.parametrize("fault", ["FIN", "RST"])
def test_a_ping_mends_what_the_network_lost(
    driver: str, postgresql_url: str, fault: str
) -> None:
    """With pool_pre_ping the next user sees nothing of it."""

    def body(engine: Engine) -> object:
        connect(engine)
        FAULTS[fault](proxy)
        return connect(engine), counts(engine), proxy.connections

    arguments = {"pool_pre_ping": True}
    with through(driver, postgresql_url, **arguments) as (proxy, side):
        assert (1, (1, 0), 1) == side.on_engine(body)


@wrong_on(ASYNCPG, CLASSES)
def test_a_driver_that_closed_its_connection_is_an_operational_error(
    own_side: Side,
) -> None:
    """A connection that was closed behind SQLAlchemy's back is lost."""

    def body(connection: Connection) -> tuple[Seen, object]:
        close_below(connection)
        found = failure(connection.execute, text("SELECT 1"))
        connection.rollback()
        return found, connection.scalar(text("SELECT 2"))

    assert (LOST, 2) == own_side.run(body)


def close_below(connection: Connection) -> None:
    """Close the driver's connection."""
    driver: Any = connection.connection.driver_connection
    if _faults.is_asyncpg(driver):
        driver.terminate()
    else:
        driver.close()

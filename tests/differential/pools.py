"""Pools: pinged, reset, exhausted, given up."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from tests.differential._catalogue import cases
from tests.differential._ground import add, rows, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.differential._ground import Ground


def pinged(ground: Ground) -> object:
    """Pre-ping asks the server once, outside of a transaction."""
    engine = ground.open(pool_pre_ping=True)
    with engine.connect() as connection:
        return rows(connection, "SELECT 1")


def pinged_in_autocommit(ground: Ground) -> object:
    """Pre-ping under AUTOCOMMIT."""
    engine = ground.open(pool_pre_ping=True, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        return rows(connection, "SELECT 1")


def invalidated(ground: Ground) -> object:
    """invalidate() gives the connection up; the next statement has a new one."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.invalidate()
        told = ground.attempt(rows, connection, "SELECT 1")
        connection.rollback()
        return [told, rows(connection, "SELECT 1")]


def detached(ground: Ground) -> None:
    """detach() takes the connection from the pool; close() ends it."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.detach()
        connection.commit()
    ground.wait_for(
        "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE application_name = %s)",
        ground.application,
    )


def temporary_table(ground: Ground) -> object:
    """A temporary table outlives its stay in the pool."""
    with ground.engine.begin() as connection:
        run(connection, "CREATE TEMP TABLE t AS SELECT 1 AS x")
    with ground.engine.connect() as connection:
        return rows(connection, "SELECT x FROM t")


@cases(("NullPool", NullPool), ("StaticPool", StaticPool), ("QueuePool", QueuePool))
def pool_given(ground: Ground, _: str, pool: Any) -> object:
    """A pool that was named."""
    engine = ground.open(poolclass=pool)
    with engine.connect() as connection:
        return rows(connection, "SELECT 1")


def pool_exhausted(ground: Ground) -> object:
    """A pool that has nothing to lend says so after its timeout."""
    engine = ground.open(pool_size=1, max_overflow=0, pool_timeout=0.05)
    with engine.connect():
        return ground.attempt(engine.connect)


@cases("rollback", "commit", None)
def reset_on_return(ground: Ground, reset: Any) -> object:
    """What the pool does to a connection that comes back."""
    engine = ground.open(pool_reset_on_return=reset)
    with engine.connect() as connection:
        raw: Any = connection.connection
        cursor = raw.cursor()
        cursor.execute("INSERT INTO item VALUES (4)")
        cursor.close()
    return ground.left()


def raw_connection(ground: Ground) -> object:
    """A raw connection that is closed is rolled back."""
    raw = ground.engine.raw_connection()
    cursor = raw.cursor()
    cursor.execute("INSERT INTO item VALUES (4)")
    told = cursor.rowcount
    cursor.execute("SELECT id FROM item ORDER BY 1")
    found = [tuple(row) for row in cursor.fetchall()]
    cursor.close()
    raw.close()
    return [told, found]


def _note(told: list[str], name: str) -> Callable[..., None]:
    return lambda *_: told.append(name)


def events_of_an_engine(ground: Ground) -> object:
    """begin, commit, rollback and reset are told alike."""
    told = list[str]()
    names = ("begin", "commit", "rollback", "savepoint", "release_savepoint")
    for name in (*names, "checkout", "reset", "checkin"):
        event.listen(ground.engine, name, _note(told, name))
    with ground.engine.begin() as connection, connection.begin_nested():
        add(connection, 4)
    with ground.engine.connect() as connection:
        add(connection, 5)
    return told


def facts_of_the_server(ground: Ground) -> object:
    """What the dialect found out."""
    dialect: Any = ground.engine.dialect
    return [
        dialect.server_version_info > (15,),
        dialect.default_schema_name == ground.schema,
        dialect.default_isolation_level,
        dialect.supports_sane_rowcount,
        dialect.supports_sane_multi_rowcount,
    ]

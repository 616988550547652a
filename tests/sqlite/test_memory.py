"""A database in memory has many connections, and belongs to one engine."""

from __future__ import annotations

import gc
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import NullPool, QueuePool, StaticPool, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import SingletonThreadPool

from async_layers import SQLiteOptions, create_engine, engine_scope, transaction
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import CARL, DORA, NAMES, Base, memory_on, sent

if TYPE_CHECKING:
    from sqlalchemy import Engine, Pool

TABLES = text("SELECT count(*) FROM sqlite_master")


def address(engine: Engine) -> str:
    """Return the URI of an engine's database in memory."""
    with engine.connect() as connection:
        databases = connection.execute(text("PRAGMA database_list"))
        return f"file:{databases.all()[0].file}?vfs=memdb"


def tables_at(uri: str) -> int:
    """Count the tables that somebody else finds at a URI."""
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        (count,) = connection.execute(TABLES.text).fetchone()
    return int(count)


# --- connections and transactions


@wrong_on("pysqlite", "each thread has a database of its own")
def test_threads_share_the_database(driver: str) -> None:
    """What one thread commits another finds."""
    with memory_on(driver) as engine:
        with engine.begin() as connection:
            connection.execute(CARL)

        def look() -> list[str]:
            with engine.connect() as connection:
                try:
                    return list(connection.scalars(NAMES))
                finally:
                    connection.invalidate()

        with ThreadPoolExecutor(1) as other:
            assert ["carl"] == other.submit(look).result()


@wrong_on("pysqlite", "all connections of a thread are one, with one transaction")
def test_connections_have_transactions_of_their_own(driver: str) -> None:
    """What one connection rolls back is not what another has done."""
    with memory_on(driver) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with engine.connect() as other:
                other.execute(text("SELECT 1"))
                other.rollback()
            connection.commit()
            assert ["carl"] == connection.scalars(NAMES).all()


def test_transaction_begins_and_ends_as_in_a_file() -> None:
    """BEGIN goes out with the first statement; a rollback undoes a savepoint."""
    with memory_on(OURS) as engine:
        seen = sent(engine)
        engine.pool.dispose()
        with engine.connect() as connection:
            with connection.begin_nested():
                connection.execute(CARL)
            connection.rollback()
        with engine.connect() as connection:
            assert [] == connection.scalars(NAMES).all()
    assert [
        "BEGIN",
        "SAVEPOINT sa_savepoint_1",
        "INSERT INTO person VALUES (1, 'carl')",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "ROLLBACK",
        "BEGIN",
        "SELECT name FROM person ORDER BY id",
        "ROLLBACK",
    ] == seen


def test_writer_keeps_readers_waiting() -> None:
    """There is no WAL in memory: what is written is not read before it is committed."""
    options = SQLiteOptions(busy_timeout=0.05)
    with memory_on(OURS, sqlite=options) as engine:
        with engine.connect() as connection, engine.connect() as other:
            connection.execute(CARL)
            with pytest.raises(OperationalError, match="database is locked"):
                other.execute(NAMES)
            connection.commit()
            other.rollback()
            assert ["carl"] == other.scalars(NAMES).all()


def test_writers_wait_for_each_other() -> None:
    """Many write at once, none fails, and no row is lost."""
    with memory_on(OURS, pool_size=8) as engine:

        def write(number: int) -> None:
            statement = text("INSERT INTO person VALUES (:number, 'somebody')")
            with transaction(engine, write=True) as connection:
                connection.execute(statement, {"number": number})

        with ThreadPoolExecutor(8) as others:
            list(others.map(write, range(40)))
        with engine.connect() as connection:
            assert 40 == connection.scalar(text("SELECT count(*) FROM person"))


# --- whose it is, and for how long


def test_engines_never_meet() -> None:
    """Each engine has a database of its own."""
    with memory_on(OURS) as engine, memory_on(OURS) as another:
        with engine.begin() as connection:
            connection.execute(CARL)
        with another.begin() as connection:
            connection.execute(DORA)
            assert ["dora"] == connection.scalars(NAMES).all()
        with engine.begin() as connection:
            assert ["carl"] == connection.scalars(NAMES).all()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite+async_layers://"]
)
def test_each_way_to_write_memory_is_shared(url: str) -> None:
    """Every URL of a database in memory is one for all connections."""
    with engine_scope(url) as engine:
        assert isinstance(engine.pool, QueuePool)
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
        with engine.connect() as connection, engine.connect() as other:
            assert 1 == connection.scalar(TABLES)
            assert 1 == other.scalar(TABLES)


@pytest.mark.parametrize("pool", [NullPool, StaticPool, SingletonThreadPool])
def test_database_outlives_each_of_its_connections(pool: type[Pool]) -> None:
    """Whatever the pool, the database is there for the next connection."""
    with memory_on(OURS, poolclass=pool) as engine:
        with engine.begin() as connection:
            connection.execute(CARL)
        with engine.connect() as connection:
            assert ["carl"] == connection.scalars(NAMES).all()


def test_database_outlives_its_pool() -> None:
    """A pool that closes its connections does not end the database."""
    with memory_on(OURS) as engine:
        uri = address(engine)
        engine.pool.dispose()
        assert 1 == tables_at(uri)


def test_database_ends_with_dispose() -> None:
    """`dispose()` ends a database in memory."""
    with memory_on(OURS) as engine:
        uri = address(engine)
    assert 0 == tables_at(uri)


def test_engine_begins_a_new_database_after_dispose() -> None:
    """An engine that is used after `dispose()` has an empty database."""
    with memory_on(OURS) as engine:
        engine.dispose()
        with engine.connect() as connection:
            assert 0 == connection.scalar(TABLES)


def test_connection_that_is_lent_outlives_dispose() -> None:
    """`dispose()` does not take the database from a connection that is in use."""
    with memory_on(OURS) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            engine.dispose()
            connection.commit()
            assert ["carl"] == connection.scalars(NAMES).all()
            connection.invalidate()  # its pool is gone, and nobody else closes it


def test_database_ends_with_an_engine_that_is_forgotten() -> None:
    """An engine that is collected leaves no database behind."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
    uri = address(engine)
    engine.pool.dispose()
    assert 1 == tables_at(uri)
    del engine, connection
    gc.collect()
    assert 0 == tables_at(uri)


# --- what is left to SQLAlchemy


def test_memory_can_be_left_to_sqlalchemy() -> None:
    """With memdb=False a database in memory is what SQLAlchemy makes of it."""
    options = SQLiteOptions(memdb=False)
    with memory_on(OURS, sqlite=options) as engine:
        assert isinstance(engine.pool, SingletonThreadPool)
        with engine.begin() as connection:
            assert 1 == connection.scalar(text("PRAGMA foreign_keys"))
            connection.execute(CARL)
        with engine.connect() as connection:
            assert ["carl"] == connection.scalars(NAMES).all()


def test_shared_cache_is_left_to_sqlalchemy() -> None:
    """A URI of SQLAlchemy's documentation is the database that it names.

    Source: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "Using a
    Shared-Cache Memory Database".
    """
    url = "sqlite:///file:of_async_layers?mode=memory&cache=shared&uri=true"
    with engine_scope(url, poolclass=QueuePool) as engine:
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
            connection.execute(CARL)
        uri = "file:of_async_layers?mode=memory&cache=shared"
        assert 1 == tables_at(uri)
        with engine.connect() as connection, engine.connect() as other:
            assert ["carl"] == connection.scalars(NAMES).all()
            assert ["carl"] == other.scalars(NAMES).all()

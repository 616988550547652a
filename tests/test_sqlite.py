"""SQLite's transactions, in both worlds."""

from __future__ import annotations

import gc
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import PoolResetState, SingletonThreadPool

from async_layers import (
    SQLiteOptions,
    async_engine_scope,
    async_transaction,
    create_engine,
    engine_scope,
    transaction,
)
from async_layers._sqlite import _reset
from async_layers.patterns.tables import Account, Base

if TYPE_CHECKING:
    from pathlib import Path

ROLLBACK_JOURNAL = SQLiteOptions(journal_mode="DELETE", busy_timeout=0.05)
CARL = insert(Account).values(id=3, owner="carl", balance=10)
DORA = insert(Account).values(id=4, owner="dora", balance=20)


def prepare(engine: Engine) -> None:
    with transaction(engine) as connection:
        Base.metadata.create_all(connection)


def test_commit_that_meets_a_reader_leaves_no_transaction(tmp_path: Path) -> None:
    """The next user of a connection does not commit the rows of a failed COMMIT."""
    url = f"sqlite:///{tmp_path / 'file.db'}"
    with engine_scope(url, sqlite=ROLLBACK_JOURNAL, pool_size=1) as engine:
        prepare(engine)
        reader = sqlite3.connect(tmp_path / "file.db")
        rows = reader.execute("SELECT name FROM sqlite_master")
        assert rows.fetchone()
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(OperationalError, match="locked"):
                connection.commit()
        rows.close()
        reader.close()
        with transaction(engine) as connection:
            connection.execute(DORA)
            assert ["dora"] == list(connection.scalars(select(Account.owner)))


async def test_commit_that_meets_a_reader_leaves_no_transaction_under_asyncio(
    tmp_path: Path,
) -> None:
    """The next user of a connection does not commit the rows of a failed COMMIT."""
    url = f"sqlite:///{tmp_path / 'file.db'}"
    async with async_engine_scope(url, sqlite=ROLLBACK_JOURNAL, pool_size=1) as engine:
        async with async_transaction(engine) as connection:
            await connection.run_sync(Base.metadata.create_all)
        reader = sqlite3.connect(tmp_path / "file.db")
        rows = reader.execute("SELECT name FROM sqlite_master")
        assert rows.fetchone()
        async with engine.connect() as connection:
            await connection.execute(CARL)
            with pytest.raises(OperationalError, match="locked"):
                await connection.commit()
        rows.close()
        reader.close()
        async with async_transaction(engine) as connection:
            await connection.execute(DORA)
            found = await connection.scalars(select(Account.owner))
            assert ["dora"] == list(found)


def test_begin_can_be_left_to_the_driver(sqlite_url: str) -> None:
    """Without our BEGIN, stock SQLite keeps a savepoint of a rolled-back transaction.

    This is what the default prevents (SQLAlchemy 10491).
    """
    left = {}
    for begin in ("DEFERRED", None):
        options = SQLiteOptions(begin=begin)
        with engine_scope(sqlite_url, sqlite=options) as engine:
            prepare(engine)
            with engine.connect() as connection:
                with connection.begin_nested():
                    connection.execute(CARL)
                connection.rollback()
            with engine.connect() as connection:
                left[begin] = list(connection.scalars(select(Account.owner)))
    assert {"DEFERRED": [], None: ["carl"]} == left


def test_users_own_autocommit_attribute_is_respected(sqlite_url: str) -> None:
    """A driver that is in a transaction already is not told to begin."""
    with engine_scope(sqlite_url) as engine, engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("BEGIN")
        assert 1 == connection.scalar(text("SELECT 1"))


def test_memory_database_ends_with_its_engine() -> None:
    """A forgotten engine leaves no open database behind when it is collected."""
    engine = create_engine("sqlite://")
    prepare(engine)
    url = engine.url
    database = f"{url.database}?vfs=memdb"
    assert _tables(database)
    engine.pool.dispose()
    assert _tables(database)  # held open, though the pool is empty
    del engine
    gc.collect()
    assert not _tables(database)


def _tables(database: str) -> int:
    with sqlite3.connect(database, uri=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.close()
    return int(count)


def test_memory_database_is_gone_after_dispose() -> None:
    """`dispose()` ends a database in memory, and the engine begins a new one."""
    engine = create_engine("sqlite://")
    prepare(engine)
    engine.dispose()
    with engine.connect() as connection:
        count = connection.scalar(text("SELECT count(*) FROM sqlite_master"))
    engine.dispose()
    assert 0 == count


def test_connection_of_the_garbage_collector_is_left_alone() -> None:
    """Nothing is asked of a connection where nothing can be awaited.

    Both arguments have no attribute at all: to touch them is an error.
    """
    nothing: Any = object()
    state = PoolResetState(
        transaction_was_reset=False, terminate_only=True, asyncio_safe=False
    )
    _reset(nothing, nothing, state)


def test_users_own_timeout_wins(sqlite_url: str) -> None:
    """A timeout in the URL, or among the arguments, is the one that holds."""
    with engine_scope(f"{sqlite_url}?timeout=0.25") as engine:
        with engine.connect() as connection:
            assert 250 == connection.scalar(text("PRAGMA busy_timeout"))
    with engine_scope(sqlite_url, connect_args={"timeout": 0.5}) as engine:
        with engine.connect() as connection:
            assert 500 == connection.scalar(text("PRAGMA busy_timeout"))


def test_memory_database_can_be_left_to_sqlalchemy() -> None:
    """With memdb=False `sqlite://` is what SQLAlchemy makes of it."""
    options = SQLiteOptions(memdb=False)
    with engine_scope("sqlite://", sqlite=options) as engine:
        assert isinstance(engine.pool, SingletonThreadPool)
        with transaction(engine) as connection:
            assert 1 == connection.scalar(text("PRAGMA foreign_keys"))

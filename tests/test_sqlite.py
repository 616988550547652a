"""SQLite's transactions, in both worlds."""

from __future__ import annotations

import gc
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pytest
from sqlalchemy import Engine, event, insert, select, text
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    OperationalError,
    ResourceClosedError,
)
from sqlalchemy.pool import PoolResetState, SingletonThreadPool

from async_layers import (
    SQLiteOptions,
    async_engine_scope,
    async_transaction,
    create_engine,
    engine_scope,
    savepoint,
    trace,
    transaction,
)
from async_layers._sqlite import _reset
from async_layers.patterns.tables import Account, Base

if TYPE_CHECKING:
    from pathlib import Path

ROLLBACK_JOURNAL = SQLiteOptions(journal_mode="DELETE", busy_timeout=0.05)
Begin: TypeAlias = Literal["DEFERRED"] | None

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


@pytest.mark.parametrize("begin", ["DEFERRED", None])
def test_read_only_is_kept_whoever_begins(sqlite_url: str, begin: Begin) -> None:
    """SQLite refuses to write also where BEGIN is left to the driver."""
    with engine_scope(sqlite_url, sqlite=SQLiteOptions(begin=begin)) as engine:
        prepare(engine)
        for _ in range(2):
            with pytest.raises(OperationalError, match="readonly"):
                with transaction(engine, read_only=True) as connection:
                    connection.execute(CARL)
        with transaction(engine) as connection:
            connection.execute(CARL)


@pytest.mark.parametrize("begin", ["DEFERRED", None])
def test_write_takes_the_lock_whoever_begins(sqlite_url: str, begin: Begin) -> None:
    """With write=True the lock is taken at once, also where others begin late."""
    options = SQLiteOptions(begin=begin, busy_timeout=0.05)
    with engine_scope(sqlite_url, sqlite=options) as engine:
        prepare(engine)
        with transaction(engine, write=True):
            locked = pytest.raises(OperationalError, match="locked")
            with locked, transaction(engine, write=True):
                pytest.fail("there are two writers")


def test_users_own_isolation_level_is_the_begin(sqlite_url: str) -> None:
    """An argument of sqlite3 that says how to begin is heard."""
    own = {"isolation_level": "IMMEDIATE"}
    with engine_scope(sqlite_url, connect_args=own) as engine:
        with trace(engine) as seen, engine.begin():
            pass
    assert "BEGIN IMMEDIATE" in str(seen).splitlines()


def test_users_own_option_is_the_begin(sqlite_url: str) -> None:
    """An execution option of the engine that says how to begin is heard."""
    own = {"sqlite_begin": "EXCLUSIVE"}
    with engine_scope(sqlite_url, execution_options=own) as engine:
        with trace(engine) as seen, engine.begin():
            pass
    assert "BEGIN EXCLUSIVE" in str(seen).splitlines()


def test_users_own_recipe_keeps_its_savepoints(sqlite_url: str) -> None:
    """SQLAlchemy's recipe, isolation_level=None and a BEGIN, has savepoints."""
    with engine_scope(sqlite_url, connect_args={"isolation_level": None}) as engine:
        event.listen(engine, "begin", lambda it: it.exec_driver_sql("BEGIN"))
        prepare(engine)
        with engine.begin() as connection:
            with pytest.raises(LookupError), savepoint(connection):
                connection.execute(CARL)
                raise LookupError
            connection.execute(DORA)
            assert ["dora"] == list(connection.scalars(select(Account.owner)))


def test_savepoint_of_a_closed_connection_is_sqlalchemys_error(
    sqlite_url: str,
) -> None:
    """What is closed is refused by begin_nested() itself."""
    with engine_scope(sqlite_url) as engine:
        connection = engine.connect()
        connection.close()
        with pytest.raises(ResourceClosedError), savepoint(connection):
            pytest.fail("there is no savepoint")


def test_autocommit_of_the_driver_is_refused(sqlite_url: str) -> None:
    """The attribute of Python 3.12 takes the place of BEGIN, and is refused."""
    with pytest.raises(ArgumentError, match="seen False, beside which no BEGIN"):
        create_engine(sqlite_url, connect_args={"autocommit": False})


def test_file_that_is_only_read_keeps_its_journal(tmp_path: Path) -> None:
    """A database that cannot be written is read with the journal that it has."""
    file = tmp_path / "file.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE t (id INT)")
    url = f"sqlite:///file:{file}?mode=ro&uri=true"
    with engine_scope(url) as engine, transaction(engine) as connection:
        assert 1 == connection.scalar(text("SELECT count(*) FROM sqlite_master"))
        assert "delete" == connection.scalar(text("PRAGMA journal_mode"))


def test_other_errors_of_a_new_connection_travel_on(tmp_path: Path) -> None:
    """A file that is no database is an error, not a journal that it keeps."""
    (tmp_path / "file.db").write_bytes(b"no database at all" * 100)
    url = f"sqlite:///{tmp_path / 'file.db'}"
    with engine_scope(url) as engine:
        with pytest.raises(DatabaseError, match="not a database"):
            engine.connect()

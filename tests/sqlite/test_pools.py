"""What pools and threads do with a connection."""

from __future__ import annotations

import gc
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool, StaticPool

from async_layers import SQLiteOptions
from tests.sqlite._dialects import OURS, open_engine
from tests.sqlite._programs import run

if TYPE_CHECKING:
    from pathlib import Path

SHARED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

sys.setswitchinterval(1e-5)
engine = create_engine(
    "sqlite+async_layers://",
    poolclass=StaticPool,
    connect_args={"check_same_thread": False},
)

def read(_):
    with engine.connect() as connection:
        return connection.scalar(text("SELECT 1"))

with ThreadPoolExecutor(6) as threads:
    print(sum(threads.map(read, range(1500))))
"""


def test_threads_share_a_connection(tmp_path: Path) -> None:
    """Their statements come one after another; sqlite3 alone would crash."""
    assert (0, "1500\n", "") == run(SHARED, tmp_path / "file.db")


# SQLAlchemy lets go of it without closing; Python 3.13 says so.
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_dispose_keeps_no_connection_that_is_lent(tmp_path: Path) -> None:
    """It is closed when it comes back, though the engine lives on."""
    engine = open_engine(OURS, tmp_path / "file.db")
    for _ in range(5):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            engine.dispose()
    gc.collect()
    # SQLite removes the log with the last connection.
    assert not (tmp_path / "file.db-wal").exists()
    engine.dispose()


def test_dispose_beside_threads_that_connect(tmp_path: Path) -> None:
    """It looks at a list of its own."""
    engine = open_engine(OURS, tmp_path / "file.db", poolclass=NullPool)

    def connect(_: int) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(3) as threads:
            done = [threads.submit(connect, number) for number in range(60)]
            while not all(one.done() for one in done):
                engine.dispose()
    finally:
        sys.setswitchinterval(interval)
    assert [None] * 60 == [one.result() for one in done]
    engine.dispose()


def test_transaction_that_autocommit_leaves_open_ends_with_the_level(
    tmp_path: Path,
) -> None:
    """Also where the pool is told not to roll back; the next user can write."""
    engine = open_engine(
        OURS, tmp_path / "file.db", skip_autocommit_rollback=True, pool_size=1
    )
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("BEGIN IMMEDIATE"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (2)"))
        assert [2] == connection.scalars(text("SELECT x FROM t")).all()
    engine.dispose()


def test_pool_recovers_from_a_closed_connection_in_autocommit(tmp_path: Path) -> None:
    """The first statement says that it is closed; the next connection is new."""
    engine = open_engine(OURS, tmp_path / "file.db", pool_size=1)
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
    driver.close()
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with pytest.raises(OperationalError, match="is closed"):
        with autocommit.connect() as connection:
            connection.execute(text("SELECT 1"))
    with autocommit.connect() as connection:
        assert 1 == connection.scalar(text("SELECT 1"))
    engine.dispose()


def test_log_that_was_not_opened_may_be_another(tmp_path: Path) -> None:
    """A connection that has not read yet has no log that could be lost."""
    file = tmp_path / "file.db"
    other = sqlite3.connect(file)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("CREATE TABLE t (x INTEGER)")
    engine = open_engine(OURS, file, sqlite=SQLiteOptions(journal_mode=None))
    with engine.connect() as connection:
        other.close()
        # Takes the place of the log that SQLite has removed.
        (tmp_path / "inode").write_text("")
        connection.execute(text("INSERT INTO t VALUES (1)"))
        connection.commit()
        assert [1] == connection.scalars(text("SELECT x FROM t")).all()
    engine.dispose()


def test_memory_of_a_listeners_connection_is_held(tmp_path: Path) -> None:
    """Whoever opens it, the database lives as long as the engine."""
    del tmp_path
    engine = sqlalchemy.create_engine("sqlite+async_layers://", poolclass=NullPool)

    @event.listens_for(engine, "do_connect")
    def connect(_: Any, __: Any, arguments: Any, named: Any) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, **named)

    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with engine.connect() as connection:
        assert 0 == connection.scalar(text("SELECT count(*) FROM t"))
    engine.dispose()


def test_listener_that_executes_begins(tmp_path: Path) -> None:
    """SQLAlchemy's documented way to replace `do_execute` has a transaction, too."""
    engine = open_engine(OURS, tmp_path / "file.db", poolclass=StaticPool)

    @event.listens_for(engine, "do_execute")
    def execute(cursor: Any, statement: str, parameters: Any, _: Any) -> bool:
        cursor.execute(statement, parameters)
        return True

    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        connection.rollback()
        tables = connection.scalars(text("SELECT name FROM sqlite_master")).all()
    assert [] == tables
    engine.dispose()


def test_what_stands_alone_ends_what_has_only_read(tmp_path: Path) -> None:
    """Nothing was written, so that nothing is committed by it."""
    engine = open_engine(OURS, tmp_path / "file.db")
    with engine.connect() as connection:
        connection.execute(text("SELECT count(*) FROM sqlite_master"))
        connection.execute(text("PRAGMA foreign_keys = OFF"))
        assert 0 == connection.scalar(text("PRAGMA foreign_keys"))
        connection.execute(text("VACUUM"))
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        connection.rollback()
        assert 0 == connection.scalar(text("SELECT count(*) FROM sqlite_master"))
    engine.dispose()

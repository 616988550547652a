"""From the first connection to the end of the process, in the blocking world."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError

from tests.sqlite._dialects import BLOCKING, OURS, open_engine, wrong_on
from tests.sqlite._items import COUNT, NEW, prepare
from tests.sqlite._programs import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

CLOSED = "The connection to SQLite is closed: seen a statement after close()"


@pytest.fixture
def engine(driver: str, tmp_path: Path) -> Iterator[Engine]:
    """Return an engine with a table."""
    engine = open_engine(driver, tmp_path / "file.db")
    with engine.begin() as connection:
        prepare(connection)
    yield engine
    engine.dispose()


ours = pytest.mark.parametrize("driver", [OURS])


def close_driver(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    assert driver
    driver.close()


# A connection that the user closes below SQLAlchemy.


@wrong_on(BLOCKING, "a ProgrammingError of sqlite3")
def test_closed_connection_is_an_operational_error(engine: Engine) -> None:
    """A statement on a connection that was closed below says so."""
    with engine.connect() as connection:
        close_driver(connection)
        with pytest.raises(OperationalError, match=CLOSED):
            connection.execute(COUNT)


@wrong_on(BLOCKING, "a ProgrammingError of sqlite3")
def test_closed_connection_is_an_operational_error_in_a_transaction(
    engine: Engine,
) -> None:
    """A statement says so in mid-transaction, too."""
    with engine.connect() as connection:
        connection.execute(NEW)
        close_driver(connection)
        with pytest.raises(OperationalError, match=CLOSED):
            connection.execute(COUNT)


@ours
def test_commit_on_a_closed_connection_is_refused(engine: Engine) -> None:
    """A COMMIT that nobody hears is no success."""
    with engine.connect() as connection:
        connection.execute(NEW)
        close_driver(connection)
        with pytest.raises(OperationalError, match=CLOSED):
            connection.commit()


@ours
def test_pool_recovers_from_a_closed_connection(engine: Engine) -> None:
    """The error is told once; the next connection works."""
    with engine.connect() as connection:
        close_driver(connection)
        with pytest.raises(OperationalError):
            connection.execute(COUNT)
    with engine.begin() as connection:
        connection.execute(NEW)
        assert 1 == connection.scalar(COUNT)


@ours
def test_pool_recovers_from_a_connection_that_was_closed_in_it(engine: Engine) -> None:
    """A connection that is closed while nobody has it fails its next user alone."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver
    driver.close()
    with engine.connect() as connection:
        with pytest.raises(OperationalError, match=CLOSED):
            connection.execute(COUNT)
    with engine.connect() as connection:
        assert 0 == connection.scalar(COUNT)


# The end of an engine.


@ours
def test_disposed_engine_has_closed_its_files(engine: Engine, tmp_path: Path) -> None:
    """The last connection that closes takes the write-ahead log away."""
    log = tmp_path / "file.db-wal"
    assert log.exists()
    engine.dispose()
    assert not log.exists()


@ours
def test_disposed_engine_opens_again(engine: Engine) -> None:
    """An engine works after dispose() as before."""
    engine.dispose()
    with engine.begin() as connection:
        connection.execute(NEW)
        assert 1 == connection.scalar(COUNT)


# What is dropped, sqlite3 closes; from Python 3.13 on it warns.
drops = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@drops
def test_engine_that_is_dropped_has_closed_its_files(tmp_path: Path) -> None:
    """An engine that nobody disposed of closes what it has when it is collected."""
    engine = open_engine(OURS, tmp_path / "file.db")
    with engine.begin() as connection:
        prepare(connection)
    del connection, engine
    gc.collect()
    assert not (tmp_path / "file.db-wal").exists()


@drops
def test_connections_that_are_let_go_are_closed(tmp_path: Path) -> None:
    """What dispose(close=False) leaves, nobody keeps open."""
    engine = open_engine(OURS, tmp_path / "file.db")
    with engine.begin() as connection:
        prepare(connection)
    del connection
    engine.dispose(close=False)
    gc.collect()
    assert not (tmp_path / "file.db-wal").exists()


# A process that ends, and one that forks.

OPEN = """
import os, sys
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from async_layers import create_engine

COUNT = text("SELECT count(*) FROM item")
NEW = text("INSERT INTO item (name) VALUES ('new')")
engine = create_engine(f"sqlite:///{sys.argv[1]}")

def tell(words):
    os.write(1, f"{words}\\n".encode())

def count():
    with engine.connect() as connection:
        return connection.scalar(COUNT)

def child(work, *arguments):
    process = os.fork()
    if not process:
        try:
            work(*arguments)
        except OperationalError as error:
            tell(error.orig)
        finally:
            os._exit(0)
    os.waitpid(process, 0)

with engine.begin() as connection:
    connection.execute(text("CREATE TABLE IF NOT EXISTS item (name)"))
"""
REFUSED = (
    "A connection of Engine(sqlite+async_layers:///{}) is refused: seen in a child "
    "process of the one that opened it, where SQLite loses its locks; write "
    "engine.dispose(close=False) first in the child process.\n"
)


def test_process_that_forgets_to_dispose_ends(tmp_path: Path) -> None:
    """There is no thread to wait for, and nothing to say."""
    program = f"""{OPEN}
tell(count())
"""
    assert (0, "0\n", "") == run(program, tmp_path / "file.db")


def test_pool_is_refused_after_a_fork(tmp_path: Path) -> None:
    """A child process is told what to write instead of its parent's connections."""
    file = tmp_path / "file.db"
    program = f"""{OPEN}
child(count)
"""
    assert (0, REFUSED.format(file), "") == run(program, file)


def test_inherited_transaction_is_refused(tmp_path: Path) -> None:
    """A child process neither adds to its parent's transaction nor commits it."""
    file = tmp_path / "file.db"
    program = f"""{OPEN}
connection = engine.connect()
connection.execute(NEW)
child(connection.execute, NEW)
child(connection.commit)
connection.commit()
tell(count())
"""
    refused = REFUSED.format(file)
    assert (0, f"{refused}{refused}1\n", "") == run(program, file)


def test_parent_goes_on_after_a_fork(tmp_path: Path) -> None:
    """What a child process closes and drops does not touch its parent's transaction."""
    program = f"""{OPEN}
def leave():
    connection.close()
    engine.dispose()

connection = engine.connect()
connection.execute(NEW)
child(leave)
connection.execute(NEW)
connection.commit()
tell(count())
"""
    assert (0, "2\n", "") == run(program, tmp_path / "file.db")


def test_child_works_on_connections_of_its_own(tmp_path: Path) -> None:
    """After dispose(close=False) a child process writes, and its parent reads it."""
    program = f"""{OPEN}
def write():
    engine.dispose(close=False)
    with engine.begin() as connection:
        connection.execute(NEW)
    engine.dispose()

child(write)
tell(count())
"""
    assert (0, "1\n", "") == run(program, tmp_path / "file.db")

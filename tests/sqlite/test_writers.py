"""Many writers at once: each reads a counter, adds one and writes it."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from async_layers import SQLiteOptions, create_engine, transaction
from tests.sqlite._counter import (
    COUNT,
    SET,
    counted,
    counter,
    in_processes,
    turns,
)
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import begin_as_documented, engine_on

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Connection, Engine

LOST = "begins when it writes, so that it writes what it read before the other's commit"
LOCKED = "begins DEFERRED, and cannot write what another has written since it read"

EACH = 5  # times that each writer adds one
IMMEDIATE = SQLiteOptions(begin="IMMEDIATE")


def writing(driver: str, engine: Engine) -> AbstractContextManager[Connection]:
    """Begin to write: as ours is told to, or as any dialect begins."""
    return transaction(engine, write=True) if driver == OURS else engine.begin()


def add_one(engine: Engine) -> None:
    with transaction(engine, write=True) as connection:
        count = connection.scalars(COUNT).one()
        connection.execute(SET, {"count": count + 1})


def add_one_in_a_session(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        count = session.scalars(COUNT).one()
        session.execute(SET, {"count": count + 1})


def count_up(engine: Engine, writers: int, add: Callable[[Engine], None]) -> None:
    """Let threads add one at the same time; raise what one of them raised."""
    start = Barrier(writers)

    def write(_: int) -> None:
        start.wait(timeout=30)
        for _ in range(EACH):
            add(engine)

    with ThreadPoolExecutor(writers) as threads:
        list(threads.map(write, range(writers)))


def count_in_a_process(file: str) -> None:
    """Count, as one of several processes."""
    engine = create_engine(f"sqlite:///{file}", pool_size=5)
    print("ready", flush=True)  # noqa: T201 - its parent reads it
    sys.stdin.readline()
    count_up(engine, 5, add_one)
    engine.dispose()


def read_both_then_write(driver: str, engine: Engine) -> None:
    """Let a second writer come while the first one has read and not yet written."""
    first_read, second_read = Event(), Event()

    def write_second() -> None:
        assert first_read.wait(timeout=30)
        with writing(driver, engine) as connection:
            count = connection.scalars(COUNT).one()
            second_read.set()
            connection.execute(SET, {"count": count + 1})

    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(write_second)
        with writing(driver, engine) as connection:
            count = connection.scalars(COUNT).one()
            first_read.set()
            # On ours it cannot read yet: this is the time that it has to try.
            second_read.wait(timeout=0.2 if driver == OURS else 30)
            connection.execute(SET, {"count": count + 1})
        second.result(timeout=30)


# --- two


@wrong_on("pysqlite", LOST)
def test_second_writer_does_not_lose_the_first_ones_count(
    driver: str, tmp_path: Path
) -> None:
    """Whoever reads in order to write waits for the writer that came first."""
    file = counter(tmp_path)
    with engine_on(driver, file) as engine:
        read_both_then_write(driver, engine)
    assert 2 == counted(file)


@wrong_on("pysqlite", LOCKED)
def test_reading_does_not_keep_a_writer_from_writing(
    driver: str, tmp_path: Path
) -> None:
    """The lock is there before the first statement, so that the last one succeeds."""
    file = counter(tmp_path)
    with engine_on(driver, file) as engine:
        if driver != OURS:
            begin_as_documented(engine)
        read_both_then_write(driver, engine)
    assert 2 == counted(file)


def test_writer_gives_up_after_the_busy_timeout(tmp_path: Path) -> None:
    """Who waits for longer than `busy_timeout` gets SQLite's own error, at BEGIN."""
    file = counter(tmp_path)
    options = SQLiteOptions(busy_timeout=0.05)
    with engine_on(OURS, file, sqlite=options) as engine:
        with transaction(engine, write=True) as connection:
            connection.execute(COUNT)
            with pytest.raises(OperationalError, match="database is locked") as caught:
                add_one(engine)
        assert "SQLITE_BUSY" == caught.value.orig.sqlite_errorname  # type: ignore[union-attr]
        add_one(engine)
    assert 1 == counted(file)


def test_writer_that_gave_up_waits_again_next_time(tmp_path: Path) -> None:
    """The busy timeout of a connection is the same after it has waited in turns."""
    file = counter(tmp_path)
    options = SQLiteOptions(busy_timeout=0.05)
    with engine_on(OURS, file, sqlite=options, pool_size=2) as engine:
        with transaction(engine, write=True) as first, engine.connect() as connection:
            first.execute(COUNT)
            connection.execution_options(sqlite_begin="IMMEDIATE")
            with pytest.raises(OperationalError, match="database is locked"):
                connection.execute(COUNT)
            connection.rollback()
            connection.execution_options(sqlite_begin="DEFERRED")
            timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    assert 50 == timeout


# --- twenty


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_twenty_threads_that_write_lose_nothing(journal: str, tmp_path: Path) -> None:
    """None is refused with "database is locked", and none overwrites another's."""
    file = counter(tmp_path, journal)
    options = SQLiteOptions(journal_mode=None)
    with engine_on(OURS, file, sqlite=options, pool_size=20) as engine:
        count_up(engine, 20, add_one)
    assert 100 == counted(file)


def test_twenty_threads_with_sessions_lose_nothing(tmp_path: Path) -> None:
    """An engine that begins IMMEDIATE makes a writer of every session."""
    file = counter(tmp_path)
    with engine_on(OURS, file, sqlite=IMMEDIATE, pool_size=20) as engine:
        count_up(engine, 20, add_one_in_a_session)
    assert 100 == counted(file)


def test_twenty_threads_with_connections_of_their_own_lose_nothing(
    tmp_path: Path,
) -> None:
    """A file that is opened and closed for each transaction is no exception."""
    file = counter(tmp_path)
    with engine_on(OURS, file, poolclass=NullPool) as engine:
        count_up(engine, 20, add_one)
    assert 100 == counted(file)


def test_twenty_threads_open_a_file_at_once(tmp_path: Path) -> None:
    """Its change to WAL, which needs the file alone, refuses nobody."""
    file = counter(tmp_path, "DELETE")
    with engine_on(OURS, file, pool_size=20) as engine:
        count_up(engine, 20, add_one)
        with engine.connect() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    assert "wal" == mode
    assert 100 == counted(file)


def test_four_processes_of_five_threads_lose_nothing(tmp_path: Path) -> None:
    """Writers of several processes wait for each other as those of one do."""
    file = counter(tmp_path)
    assert ["", "", "", ""] == in_processes(count_in_a_process, file)
    assert 100 == counted(file)


# --- in turns


def test_writers_are_served_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    """Nobody who comes later goes first, however long the first one waits."""
    file = counter(tmp_path)
    served = list[int]()
    with engine_on(OURS, file, pool_size=20) as engine:

        def write(number: int) -> None:
            with transaction(engine, write=True) as connection:
                connection.execute(COUNT)
                served.append(number)

        with ThreadPoolExecutor(10) as threads:
            with transaction(engine, write=True) as connection:
                connection.execute(COUNT)
                for number in range(10):
                    threads.submit(write, number)
                    wait_for(engine, number + 1)
    assert [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] == served


def test_writer_who_comes_again_stands_behind_the_others(tmp_path: Path) -> None:
    """Five writers who come three times each are served in three equal rounds."""
    file = counter(tmp_path)
    served = list[int]()
    with engine_on(OURS, file, pool_size=5) as engine:

        def write(number: int) -> None:
            for _ in range(3):
                with transaction(engine, write=True) as connection:
                    connection.execute(COUNT)
                    served.append(number)
                    wait_for(engine, min(4, 15 - len(served)))

        with ThreadPoolExecutor(5) as threads:
            list(threads.map(write, range(5)))
    assert 3 * served[:5] == served


def wait_for(engine: Engine, writers: int) -> None:
    for pause in turns(engine, writers):
        time.sleep(pause)

"""Transactions that SQLite is too busy for are run again, on ours and stock drivers."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from async_layers import Attempt, Retry, SQLiteOptions, attempt_number
from tests._calls import Caller, calling
from tests.sqlite._counter import COUNT, SET, counted, counter
from tests.sqlite._dialects import (
    ASYNCIO,
    BLOCKING,
    open_async_engine,
    open_engine,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

IMPATIENT = SQLiteOptions(journal_mode="DELETE", busy_timeout=0)
WORLDS = ("blocking", "asyncio")


@contextmanager
def stock(world: str, file: Path) -> Iterator[Caller]:
    """Open an engine of SQLAlchemy's own in a world; dispose of it."""
    impatient = {"connect_args": {"timeout": 0}}
    if world == "blocking":
        engine = open_engine(BLOCKING, file, **impatient)
        yield Caller(engine)
        engine.dispose()
        return
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        opened = open_async_engine(ASYNCIO, file, **impatient)
        yield Caller(opened, runner)
        runner.run(opened.dispose())


def add_one(
    file: Path, meanwhile: Callable[[Path], None]
) -> Callable[[Connection], None]:
    """Return a function that adds one to the counter, with a collision at first."""

    def function(connection: Connection) -> None:
        count = connection.scalars(COUNT).one()
        if attempt_number() == 1:
            meanwhile(file)
        connection.execute(SET, {"count": count + 1})

    return function


def add_ten(file: Path) -> None:
    """Add ten to the counter, elsewhere."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
        connection.execute("UPDATE counter SET count = count + 10")


@pytest.mark.parametrize("world", WORLDS)
def test_a_snapshot_that_is_too_old_is_read_again(world: str, tmp_path: Path) -> None:
    """SQLITE_BUSY_SNAPSHOT: who has read cannot write what another has written."""
    file, told = counter(tmp_path), list[Attempt]()
    with calling(f"sqlite:///{file}", world) as caller:
        caller.run(
            add_one(file, add_ten), Retry(wait_initial=0, before_sleep=told.append)
        )
    assert ["database is busy, SQLITE_BUSY_SNAPSHOT"] == [one.reason for one in told]
    assert 11 == counted(file)


@pytest.mark.parametrize("world", WORLDS)
def test_with_write_nothing_has_to_be_run_again(world: str, tmp_path: Path) -> None:
    """The right use: the lock is taken before it reads, and the other one waits."""
    file, attempts = counter(tmp_path), list[int]()

    def refused(file: Path) -> None:
        attempts.append(attempt_number())
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            add_ten(file)

    with calling(f"sqlite:///{file}", world) as caller:
        caller.run(add_one(file, refused), write=True)
    assert ([1], 1) == (attempts, counted(file))


@pytest.mark.parametrize("world", WORLDS)
def test_a_commit_that_finds_a_reader_is_run_again(world: str, tmp_path: Path) -> None:
    """SQLITE_BUSY at COMMIT: nothing was written, and the whole is run again."""
    file, told = counter(tmp_path, "DELETE"), list[Attempt]()
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:

        def read(_: Path) -> None:
            reader.execute("BEGIN")
            reader.execute(str(COUNT)).fetchone()

        def leave(attempt: Attempt) -> None:
            told.append(attempt)
            reader.rollback()

        retry = Retry(wait_initial=0, before_sleep=leave)
        with calling(f"sqlite:///{file}", world, sqlite=IMPATIENT) as caller:
            caller.run(add_one(file, read), retry)
    assert ["database is busy, SQLITE_BUSY"] == [one.reason for one in told]
    assert 1 == counted(file)


@pytest.mark.parametrize("world", WORLDS)
def test_a_stock_driver_is_as_good(world: str, tmp_path: Path) -> None:
    """The code of SQLite is the same below SQLAlchemy's own dialects."""
    file, told = counter(tmp_path, "DELETE"), list[Attempt]()
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:

        def lock(_: Path) -> None:
            writer.execute("BEGIN IMMEDIATE")

        def leave(attempt: Attempt) -> None:
            told.append(attempt)
            writer.rollback()

        with stock(world, file) as caller:
            caller.run(add_one(file, lock), Retry(wait_initial=0, before_sleep=leave))
    assert ["database is busy, SQLITE_BUSY"] == [one.reason for one in told]
    assert 1 == counted(file)

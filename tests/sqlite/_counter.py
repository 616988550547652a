"""A counter that many writers read, add one to and write: what is lost shows."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, cast

from sqlalchemy import text

from tests.sqlite._processes import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from async_layers.drivers._sqlite.dialect import SharedSQLiteDialect

COUNT = text("SELECT count FROM counter")
SET = text("UPDATE counter SET count = :count")


def counter(folder: Path, journal: str = "WAL") -> Path:
    """Make a database with a counter at nought, and return its file."""
    file = folder / "counter.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # for the tests' speed
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE counter (count INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")
        connection.commit()
    return file


def counted(file: Path) -> int:
    """Return the count that another user of the database sees."""
    with closing(sqlite3.connect(file)) as connection:
        (count,) = connection.execute(str(COUNT)).fetchone()
    return int(count)


def in_processes(
    count: Callable[[str], None], file: Path, processes: int = 4
) -> list[str]:
    """Let processes count at the same time; return what they said of errors."""
    counting = [started(count, file) for _ in range(processes)]
    try:
        for process in counting:
            assert process.stdout
            assert "ready\n" == process.stdout.readline()
        for process in counting:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate(timeout=60)[1] for process in counting]
    finally:
        for process in counting:
            process.kill()
            process.communicate()


def waiting(engine: Engine) -> int:
    """Return how many of an engine's connections wait to write."""
    dialect = cast("SharedSQLiteDialect", engine.dialect)
    return sum(len(line) for line in dialect._lines.values())


def turns(engine: Engine, writers: int) -> Iterator[float]:
    """Give pauses (seconds) until so many wait, which no event tells; but not many."""
    end = time.monotonic() + 30
    while waiting(engine) < writers:
        assert time.monotonic() < end
        yield 0.001

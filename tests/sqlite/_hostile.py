"""What befalls a database file, and what is in it afterwards."""

from __future__ import annotations

import os
import sqlite3
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from async_layers import SQLiteOptions
from tests.sqlite._dialects import OURS, open_async_engine, open_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    from sqlalchemy import Engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import AsyncEngine

# An error's class, its message and the name that SQLite has for it.
Seen: TypeAlias = "tuple[str, str, str]"

PAGE = 4096  # bytes, SQLite's default

IDS = text("SELECT id FROM t ORDER BY id")
ADD = text("INSERT INTO t VALUES (:id, '')")
CREATE = text("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")


def made(folder: Path, journal: str, *ids: int) -> Path:
    """Make a database file with these rows, and return it; it is closed."""
    folder.mkdir(exist_ok=True)
    file = folder / "file.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # for the tests' speed
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(str(CREATE))
        rows = [(id_, "x" * 1000) for id_ in ids]
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.commit()
    return file


def files_in(place: str) -> list[Path]:
    """Return the databases in the folders of a place."""
    return sorted(Path(place).glob("*/file.db"))


def ids(file: Path) -> list[int]:
    """Return the rows that another user of the file sees; none if it is not there."""
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as connection:
        return [id_ for (id_,) in connection.execute(str(IDS))]


def is_sound(file: Path) -> bool:
    """Say whether SQLite finds nothing wrong with a file."""
    with closing(sqlite3.connect(file)) as connection:
        return [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()


def seen(error: DBAPIError) -> Seen:
    """Return what an error says."""
    name = getattr(error.orig, "sqlite_errorname", "")
    return type(error).__name__, str(error.orig), name


# --- what is done to a file by somebody else


def deleted(file: Path) -> None:
    """Delete a database with all that belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def deleted_alone(file: Path) -> None:
    """Delete a database, and leave its log behind."""
    file.unlink()


def replaced(file: Path) -> None:
    """Put a database with the row 100 in the place of another."""
    other = made(file.parent / "other", "DELETE", 100)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    other.replace(file)


def log_deleted(file: Path) -> None:
    """Delete the log of a database, where committed rows may be."""
    file.with_name(file.name + "-wal").unlink()
    file.with_name(file.name + "-shm").unlink()


def index_deleted(file: Path) -> None:
    """Delete the index of a log, which its users share."""
    file.with_name(file.name + "-shm").unlink()


def overwritten(file: Path, start: int, end: int) -> None:
    """Write nonsense into a file."""
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(b"\x07" * (end - start))


def header_overwritten(file: Path) -> None:
    """Write nonsense over the words that every database begins with."""
    overwritten(file, 0, 16)


def schema_overwritten(file: Path) -> None:
    """Write nonsense over the page that lists the tables."""
    overwritten(file, 100, 200)


def truncated(file: Path) -> None:
    """Cut off the end of a file."""
    os.truncate(file, 3 * PAGE)


def no_database(file: Path) -> None:
    """Put something else in the place of a database."""
    file.write_bytes(b"no database at all\n" * 300)


def folder(file: Path) -> None:
    """Put a folder in the place of a database."""
    file.unlink()
    file.mkdir()


def parent_missing(file: Path) -> None:
    """Take away the folder that a database is in."""
    file.parent.rename(file.parent.with_name("elsewhere"))


Damage: TypeAlias = "tuple[Callable[[Path], None], Seen]"

# What is wrong with a file when an engine opens it, and SQLite's words for it.
DAMAGES: list[Damage] = [
    (header_overwritten, ("DatabaseError", "file is not a database", "SQLITE_NOTADB")),
    (
        schema_overwritten,
        ("DatabaseError", "database disk image is malformed", "SQLITE_CORRUPT"),
    ),
    (
        truncated,
        ("DatabaseError", "database disk image is malformed", "SQLITE_CORRUPT"),
    ),
    (no_database, ("DatabaseError", "file is not a database", "SQLITE_NOTADB")),
    (folder, ("OperationalError", "unable to open database file", "SQLITE_CANTOPEN")),
    (
        parent_missing,
        ("OperationalError", "unable to open database file", "SQLITE_CANTOPEN"),
    ),
]


# --- engines with a journal


@contextmanager
def engine_in(journal: Any, driver: str, file: Path) -> Iterator[Engine]:
    """Lend a blocking engine whose database has a journal of this mode."""
    if driver == OURS:
        engine = open_engine(driver, file, sqlite=SQLiteOptions(journal_mode=journal))
    elif journal == "WAL":
        engine = open_engine(driver, file)
    else:
        engine = sqlalchemy.create_engine(f"sqlite+{driver}:///{file}")
    try:
        yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def async_engine_in(
    journal: Any, driver: str, file: Path
) -> AsyncIterator[AsyncEngine]:
    """Lend an asyncio engine whose database has a journal of this mode."""
    if driver == OURS:
        options = SQLiteOptions(journal_mode=journal)
        engine = open_async_engine(driver, file, sqlite=options)
    elif journal == "WAL":
        engine = open_async_engine(driver, file)
    else:
        engine = create_async_engine(f"sqlite+{driver}:///{file}")
    try:
        yield engine
    finally:
        await engine.dispose()


def as_nobody() -> None:
    """Give up root's rights, for whom no file is read-only; others have none."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)

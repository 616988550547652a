"""A place in a database that is ours alone, and an observer of it."""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.schema import CreateTable

from async_layers._postgresql import is_ours as is_our_postgresql
from async_layers._proof.facts import DATABASES
from async_layers._proof.witness import PostgreSQLWitness, SQLiteWitness, is_locked
from async_layers._sqlite import is_ours as is_our_sqlite
from async_layers._urls.prepare import prepare_url
from async_layers.patterns.tables import SEED, Base

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg
    from sqlalchemy import Dialect

    from async_layers._proof.witness import Witness


# How often a lock is looked for, 10 ms apart, before it counts as left.
_PATIENCE = 100


class Scratch(Protocol):
    """A database to prove facts on: its URLs, its observer."""

    database: str
    drivers: dict[str, str]
    urls: dict[str, URL]

    def fresh(self) -> None:
        """Make the tables of the facts anew, with the rows that they begin with."""

    def rows(self) -> list[str] | None:
        """Return all rows that are visible to others, None where they are locked."""

    def witness(self) -> Witness:
        """Return a new witness of what the server sees."""
        ...

    def lacks(self, need: str) -> str:
        """Return why the server cannot be asked for something, or nothing."""
        ...

    def settings(self) -> list[str]:
        """Return the statements that ask a connection for its session's settings."""
        ...

    def left(self) -> str:
        """Return what a half has left locked or prepared: `, left LOCK`."""
        ...


@contextmanager
def scratch(url: str | URL, asyncio_driver: str | None = None) -> Iterator[Scratch]:
    """Lend a place of our own in a database, and remove it on every way out.

    On SQLite that is a new file beside the database (for a URL without one, in
    the folder of temporary files), on PostgreSQL a schema with a random name.
    """
    given = make_url(url)
    refuse_stock(given)
    sync_url = prepare_url(given.set(drivername=given.get_backend_name()), "sync").url
    async_url = given
    if asyncio_driver == "psycopg":  # its asyncio face is SQLAlchemy's own dialect
        async_url = given.set(drivername=f"{given.get_backend_name()}+psycopg")
    prepare_url(async_url, "async")
    if sync_url.get_backend_name() == "sqlite":
        with _sqlite(sync_url, async_url) as place:
            yield place
    elif sync_url.get_backend_name() == "postgresql":
        with _postgresql(sync_url, async_url) as place:
            yield place
    else:
        raise ArgumentError(
            f"The database is refused: seen {given.get_backend_name()!r}; "
            "write a URL of sqlite or postgresql."
        )


def refuse_stock(url: URL) -> None:
    """Refuse SQLAlchemy's own dialects: the facts are not theirs."""
    database, _, driver = url.drivername.partition("+")
    # libpq, and many hosts of databases, accept the short spelling.
    database = "postgresql" if database == "postgres" else database
    ours = is_our_sqlite(database, driver) or is_our_postgresql(database, driver)
    if driver and database in DATABASES and not ours:
        raise ArgumentError(
            f"A driver is refused: seen {url.drivername!r}, whose transactions are "
            f"others than those of async_layers; write '{database}://'."
        )


def _tables(dialect: Dialect) -> str:
    """Return the statements that make the tables and their first rows."""
    tables = Base.metadata.sorted_tables
    created = (str(CreateTable(table).compile(dialect=dialect)) for table in tables)
    return ";".join([*created, SEED])


class SQLiteScratch:
    """A file of SQLite."""

    database = "sqlite"

    def __init__(self, file: Path, sync_url: URL, async_url: URL) -> None:
        self._file = file
        self.urls = {
            "sync": sync_url.set(database=str(file)),
            "async": async_url.set(database=str(file)),
        }
        self.drivers = {"sync": "sqlite3", "async": "aiosqlite"}

    def _connect(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._file, timeout=0.2))

    def fresh(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_tables(self.urls["sync"].get_dialect()()))

    def rows(self) -> list[str] | None:
        with self._connect() as connection:
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1"
            ).fetchall()
            return _lines(
                (str(name), connection.execute(f'SELECT * FROM "{name}" ORDER BY 1'))  # noqa: S608
                for (name,) in found
            )

    def witness(self) -> Witness:
        return SQLiteWitness(self._file)

    def lacks(self, need: str) -> str:
        return f"{need} is not to be had on SQLite" if need else ""

    def settings(self) -> list[str]:
        told = ("query_only", "foreign_keys", "read_uncommitted", "busy_timeout")
        return [f"PRAGMA {name}" for name in told]

    def left(self) -> str:
        return ", left write lock" if is_locked(self._file) else ""


@contextmanager
def _sqlite(sync_url: URL, async_url: URL) -> Iterator[SQLiteScratch]:
    given = sync_url.database
    beside = given and given != ":memory:" and not given.startswith("file:")
    folder = Path(given).resolve().parent if given and beside else None
    with tempfile.TemporaryDirectory(prefix="async_layers_", dir=folder) as directory:
        yield SQLiteScratch(Path(directory) / "scratch.db", sync_url, async_url)


class PostgreSQLScratch:
    """A schema of PostgreSQL."""

    database = "postgresql"

    def __init__(
        self,
        observer: psycopg.Connection[tuple[object, ...]],
        schema: str,
        sync_url: URL,
        async_url: URL,
    ) -> None:
        self._observer = observer
        self._schema = schema
        options = sync_url.query.get("options", "")
        search_path = {"options": f"{options} -csearch_path={schema}".strip()}
        self.urls = {
            "sync": sync_url.update_query_dict(search_path),
            "async": async_url.update_query_dict(search_path),
        }
        self.drivers = {
            "sync": prepare_url(sync_url, "sync").driver,
            "async": prepare_url(async_url, "async").driver,
        }

    def _locks(self) -> str:
        """Return the query of locks that others, or what is prepared, hold."""
        return (
            "SELECT pid, relname || ' ' || mode FROM pg_locks"  # noqa: S608 - our name
            " JOIN pg_class ON pg_class.oid = relation"
            f" WHERE relnamespace = to_regnamespace('{self._schema}')"
            " AND pid IS DISTINCT FROM pg_backend_pid()"
        )

    def _run(self, statements: str) -> None:
        self._observer.execute(statements.encode())

    def fresh(self) -> None:
        self.drop()
        self._run(
            f"CREATE SCHEMA {self._schema}; SET search_path = {self._schema};"
            f"SET lock_timeout = '100ms'; {_tables(self.urls['sync'].get_dialect()())}"
        )

    def drop(self, last: psycopg.Connection[tuple[object, ...]] | None = None) -> None:
        """Drop the schema, also where a lost backend still holds a lock in it."""
        self._observer = last or self._observer
        for pid, _ in self._observer.execute(self._locks().encode()).fetchall():
            self._observer.execute("SELECT pg_terminate_backend(%s)", [pid])
        self._run(
            f"SET lock_timeout = '5s'; DROP SCHEMA IF EXISTS {self._schema} CASCADE"
        )

    def rows(self) -> list[str] | None:
        from psycopg.errors import LockNotAvailable  # noqa: PLC0415 - an extra

        execute = self._observer.execute
        found = execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = %s::regnamespace ORDER BY 1",
            [self._schema],
        ).fetchall()
        try:
            return _lines(
                (str(name), execute(f'SELECT * FROM "{name}" ORDER BY 1'.encode()))  # noqa: S608
                for (name,) in found
            )
        except LockNotAvailable:
            return None

    def witness(self) -> Witness:
        return PostgreSQLWitness(self._observer)

    def lacks(self, need: str) -> str:
        """Return why the server cannot be asked for something, or nothing."""
        if need == "prepared transactions":
            found = self._observer.execute("SHOW max_prepared_transactions").fetchone()
            if found == ("0",):
                return "max_prepared_transactions is 0 on this server"
        return ""

    def settings(self) -> list[str]:
        # What begins with "transaction" is the last transaction's, and ends with it.
        told = "source = 'session' AND name !~ '^transaction_'"
        return [f"SELECT name, setting FROM pg_settings WHERE {told}"]  # noqa: S608

    def left(self) -> str:
        """Return locks that are left; one of a backend that is ending goes soon."""
        found = list[str]()
        for _ in range(_PATIENCE):
            rows = self._observer.execute(self._locks().encode()).fetchall()
            found = sorted(str(lock) for _, lock in rows)
            if not found:
                return ""
            time.sleep(0.01)
        return f", left {', '.join(found)}"


@contextmanager
def _postgresql(sync_url: URL, async_url: URL) -> Iterator[PostgreSQLScratch]:
    import psycopg  # noqa: PLC0415 - an extra

    dialect = sync_url.get_dialect()()
    arguments, options = dialect.create_connect_args(sync_url)
    with psycopg.connect(*arguments, **options, autocommit=True) as observer:
        schema = f"async_layers_{secrets.token_hex(6)}"
        place = PostgreSQLScratch(observer, schema, sync_url, async_url)
        try:
            yield place
        finally:
            # Somebody may have ended the observer's own session.
            with psycopg.connect(*arguments, **options, autocommit=True) as last:
                place.drop(last)


def _lines(tables: Iterator[tuple[str, Iterable[tuple[object, ...]]]]) -> list[str]:
    """Return a line for each table and each row: `account 1 anna 100`."""
    lines = list[str]()
    for name, rows in tables:
        lines.append(f"table {name}")
        lines.extend(" ".join(map(str, (name, *row))) for row in rows)
    return lines

"""The place of the proof: ours alone, seen by others, gone afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError

from async_layers import engine_scope
from async_layers._proof.scratch import Scratch, scratch
from async_layers._proof.witness import Sight, SQLiteWitness
from async_layers.embedded import embedded_postgres
from async_layers.trace import Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEEN = [
    "table account",
    "account 1 anna 100",
    "account 2 bert 50",
    "table document",
    "document 1 draft 1",
    "table entry",
    "entry 1 1 60",
    "entry 2 1 40",
]


def test_fresh_place_has_the_rows_of_the_facts(place: Scratch) -> None:
    """Each fact begins with the same rows, whatever the last one left."""
    with engine_scope(place.urls["sync"]) as engine, engine.begin() as connection:
        connection.execute(text("CREATE TABLE more (id INTEGER)"))
        connection.execute(text("DELETE FROM document"))
    assert SEEN != place.rows()
    place.fresh()
    assert SEEN == place.rows()


def test_observer_waits_for_no_lock(asyncpg_place: Scratch) -> None:
    """A table that is locked has no rows for the observer, and costs no time."""
    asyncpg_place.fresh()
    with engine_scope(asyncpg_place.urls["sync"]) as engine:
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE account"))
            assert asyncpg_place.rows() is None
        assert SEEN == asyncpg_place.rows()


def test_place_beside_a_file_is_gone_afterwards(tmp_path: Path) -> None:
    """The user's own file is not touched; ours stands beside it, and goes."""
    own = tmp_path / "own.db"
    own.write_bytes(b"")
    with scratch(f"sqlite:///{own}") as place:
        place.fresh()
        assert [tmp_path] == [
            found.parent.parent for found in tmp_path.rglob("scratch.db")
        ]
    assert [own] == list(tmp_path.iterdir())
    assert b"" == own.read_bytes()


def test_schema_is_dropped_after_an_error(postgresql_url: str) -> None:
    """The schema is dropped on every way out."""
    count = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'async_layers_%'"
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        before = connection.execute(count).fetchone()
        with pytest.raises(KeyboardInterrupt), scratch(postgresql_url) as place:
            place.fresh()
            assert before != connection.execute(count).fetchone()
            raise KeyboardInterrupt
        assert before == connection.execute(count).fetchone()


@pytest.mark.parametrize(
    ("most", "expected"),
    [("0", "max_prepared_transactions is 0 on this server"), ("5", "")],
)
def test_prepared_transactions_may_be_off(most: str, expected: str) -> None:
    """A server says itself whether it has prepared transactions."""
    with embedded_postgres(settings={"max_prepared_transactions": most}) as server:
        with scratch(server.url) as place:
            assert expected == place.lacks("prepared transactions")
            assert "" == place.lacks("")


def test_other_databases_are_refused() -> None:
    """Facts are proven on SQLite and PostgreSQL, and the sentence says so."""
    with pytest.raises(ArgumentError, match="seen 'oracle'; write a URL of sqlite"):
        with scratch("oracle://localhost/x"):
            pytest.fail("there is no place")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("sqlite+pysqlite", "sqlite"),
        ("sqlite+aiosqlite", "sqlite"),
        ("postgresql+psycopg", "postgresql"),
        ("postgresql+asyncpg", "postgresql"),
        ("postgres+psycopg2", "postgresql"),
    ],
)
def test_stock_dialects_are_refused(name: str, instead: str) -> None:
    """The facts are not about SQLAlchemy's own dialects, and the sentence says so."""
    with pytest.raises(ArgumentError) as caught, scratch(f"{name}://"):
        pytest.fail("there is no place")
    assert (
        f"A driver is refused: seen {name!r}, whose transactions are others than "
        f"those of async_layers; write '{instead}://'."
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("driver", "asyncio", "expected"),
    [
        (None, "postgresql", "asyncpg"),
        ("asyncpg", "postgresql", "asyncpg"),
        ("psycopg", "postgresql+psycopg", "psycopg"),
    ],
)
def test_asyncio_half_runs_on_the_driver_that_is_named(
    postgresql_url: str, driver: str | None, asyncio: str, expected: str
) -> None:
    """All run on dialects of ours, but for psycopg's asyncio face."""
    with scratch(postgresql_url, driver) as place:
        assert {"sync": "psycopg", "async": expected} == place.drivers
        assert "postgresql+async_layers" == place.urls["sync"].drivername
        assert asyncio == place.urls["async"].drivername


def test_place_is_that_of_a_dialect_of_ours() -> None:
    """A URL may name our dialects, for either world."""
    with scratch("sqlite+async_layers_async://") as place:
        assert "sqlite+async_layers" == place.urls["sync"].drivername
        assert "sqlite+async_layers_async" == place.urls["async"].drivername


def test_statements_of_a_trigger_are_sqlites_own(tmp_path: Path) -> None:
    """The witness hears what SQLite was sent, not what a trigger adds."""
    witness = SQLiteWitness(tmp_path / "file.db")
    with closing(sqlite3.connect(tmp_path / "file.db")) as connection:
        connection.executescript(
            "CREATE TABLE a (id INT); CREATE TABLE b (id INT); CREATE TRIGGER t"
            " AFTER INSERT ON a BEGIN INSERT INTO b VALUES (1); END"
        )
        witness.attend(connection)
        connection.execute("INSERT INTO a VALUES (1)")
        sight = witness.see(Event("connection", "INSERT a", 0.0), connection)
        assert ("BEGIN", "INSERT a") == sight.statements
        assert "in transaction; write lock" == str(sight)
        connection.rollback()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return a connection that begins and ends only when it is told to."""
    file = tmp_path / "file.db"
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE a (id INT)")
        yield connection


@pytest.fixture
def witness(connection: sqlite3.Connection, tmp_path: Path) -> SQLiteWitness:
    """Return a witness of the connection."""
    witness = SQLiteWitness(tmp_path / "file.db")
    witness.attend(connection)
    return witness


def test_begin_of_a_statement_that_failed_is_believed(
    connection: sqlite3.Connection, witness: SQLiteWitness
) -> None:
    """SQLite does not tell of what it cannot prepare; its BEGIN went out and did."""
    connection.execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("SELECT * FROM nowhere")
    failed = Event("connection", "SELECT nowhere", 0.0, failed=True)
    assert Sight("in transaction", ("BEGIN",), ()) == witness.see(failed, connection)


def test_begin_that_was_refused_began_nothing(
    connection: sqlite3.Connection, witness: SQLiteWitness, tmp_path: Path
) -> None:
    """The statement that an event names did nothing if the event failed."""
    with closing(sqlite3.connect(tmp_path / "file.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
        failed = Event("connection", "BEGIN IMMEDIATE", 0.0, failed=True)
        seen = witness.see(failed, connection)
    assert Sight("idle", ("BEGIN IMMEDIATE",), ("write lock",)) == seen


def test_rollback_by_sqlite_is_asked_for(
    connection: sqlite3.Connection, witness: SQLiteWitness
) -> None:
    """SQLite does not tell that it rolled back by itself; the witness asks it."""
    connection.execute("CREATE UNIQUE INDEX one ON a (id)")
    witness.start()
    twice = "INSERT OR ROLLBACK INTO a VALUES (1), (1)"
    connection.execute("BEGIN")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(twice)
    failed = Event("connection", "INSERT a", 0.0, failed=True)
    ended = Event("connection", "ROLLBACK (by the database)", 0.0)
    assert "in transaction" == witness.see(failed, connection).state
    assert "idle" == witness.see(ended, connection).state


def test_witness_knows_what_no_event_told(
    connection: sqlite3.Connection, witness: SQLiteWitness
) -> None:
    """What is sent after the last event is not forgotten."""
    connection.execute("SELECT id FROM a")
    witness.see(Event("connection", "SELECT a", 0.0), connection)
    assert [] == witness.untold()
    connection.execute("DELETE FROM a")
    assert ["DELETE a"] == witness.untold()

"""When a transaction begins on SQLite, and what its end undoes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from async_layers import SQLiteOptions, transaction
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import (
    CARL,
    DORA,
    EVE,
    NAMES,
    Person,
    engine_on,
    fresh,
    names,
    sent,
    tables,
)

if TYPE_CHECKING:
    from pathlib import Path


@wrong_on("pysqlite", "BEGIN goes out with the first INSERT, not with a SELECT")
def test_begin_goes_out_with_the_first_statement(driver: str, tmp_path: Path) -> None:
    """A transaction begins with its first statement, whatever that is."""
    with engine_on(driver, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.connect() as connection, connection.begin():
            assert [] == seen
            connection.execute(NAMES)
            connection.execute(CARL)
    assert [
        "BEGIN",
        "SELECT name FROM person ORDER BY id",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
    ] == seen


def test_transaction_without_a_statement_sends_nothing(tmp_path: Path) -> None:
    """SQLite is not told of a transaction in which nothing happens."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.begin():
            pass
        with engine.connect() as connection:
            connection.begin()
    assert [] == seen


def test_next_statement_begins_the_next_transaction(tmp_path: Path) -> None:
    """After a commit or a rollback the next statement begins again."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            connection.execute(CARL)
            connection.commit()
            connection.execute(DORA)
            connection.rollback()
            connection.execute(EVE)
    assert [
        "BEGIN",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
        "BEGIN",
        "INSERT INTO person VALUES (2, 'dora')",
        "ROLLBACK",
        "BEGIN",
        "INSERT INTO person VALUES (3, 'eve')",
        "ROLLBACK",
    ] == seen


def test_many_parameters_are_one_transaction(tmp_path: Path) -> None:
    """BEGIN goes out once ahead of a statement with many parameters."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            rows = [{"id": 1, "name": "carl"}, {"id": 2, "name": "dora"}]
            connection.execute(insert(Person), rows)
    assert [
        "BEGIN",
        "INSERT INTO person (id, name) VALUES (1, 'carl')",
        "INSERT INTO person (id, name) VALUES (2, 'dora')",
        "COMMIT",
    ] == seen


def test_stream_begins_a_transaction(tmp_path: Path) -> None:
    """BEGIN goes out ahead of a result that is read in batches."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            connection.execution_options(yield_per=1)
            with connection.execute(NAMES) as result:
                assert [] == result.all()
    assert ["BEGIN", "SELECT name FROM person ORDER BY id", "ROLLBACK"] == seen


def test_first_statement_that_fails_has_begun(tmp_path: Path) -> None:
    """A statement that fails leaves a transaction, whose next one goes on."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            with pytest.raises(OperationalError, match="no such table: nowhere"):
                connection.execute(text("SELECT * FROM nowhere"))
            connection.execute(CARL)
    assert ["BEGIN", "INSERT INTO person VALUES (1, 'carl')", "COMMIT"] == seen


@wrong_on("pysqlite", "a SELECT is a transaction of its own")
def test_what_was_read_stays_as_it_was(driver: str, tmp_path: Path) -> None:
    """Two reads of one transaction see the same, whoever commits in between."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            assert [] == list(connection.scalars(NAMES))
            with closing(sqlite3.connect(file)) as outside, outside:
                outside.execute(CARL.text)
            assert [] == list(connection.scalars(NAMES))
        with engine.connect() as connection:
            assert ["carl"] == list(connection.scalars(NAMES))


def test_write_takes_the_lock_with_the_first_statement(tmp_path: Path) -> None:
    """With write=True a transaction begins as a writer, even where it reads first."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with transaction(engine, write=True) as connection:
            connection.execute(NAMES)
    assert [
        "PRAGMA busy_timeout",
        "PRAGMA busy_timeout = 0",
        "BEGIN IMMEDIATE",
        "PRAGMA busy_timeout = 5000",
        "SELECT name FROM person ORDER BY id",
        "COMMIT",
    ] == seen


def test_engines_option_says_how_to_begin(tmp_path: Path) -> None:
    """SQLiteOptions(begin=...) is the BEGIN of each transaction of an engine."""
    options = SQLiteOptions(begin="EXCLUSIVE")
    with engine_on(OURS, fresh(tmp_path), sqlite=options) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            connection.execute(CARL)
    assert ["BEGIN EXCLUSIVE"] == [it for it in seen if it.startswith("BEGIN")]


def test_execution_option_of_an_engine_says_how_to_begin(tmp_path: Path) -> None:
    """`sqlite_begin` among the engine's execution options is heard."""
    options = {"sqlite_begin": "IMMEDIATE"}
    file = fresh(tmp_path)
    with engine_on(OURS, file, execution_options=options) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            connection.execute(CARL)
    assert ["BEGIN IMMEDIATE"] == [it for it in seen if it.startswith("BEGIN")]


def test_execution_option_of_a_connection_ends_with_it(tmp_path: Path) -> None:
    """`sqlite_begin` on a connection is not heard by the next one."""
    with engine_on(OURS, fresh(tmp_path), pool_size=1) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            connection.execution_options(sqlite_begin="EXCLUSIVE")
            connection.execute(CARL)
        with engine.connect() as connection:
            connection.execute(CARL)
    begins = [it for it in seen if it.startswith("BEGIN")]
    assert ["BEGIN EXCLUSIVE", "BEGIN"] == begins


def test_execution_option_of_an_engines_copy_says_how_to_begin(tmp_path: Path) -> None:
    """An engine with `sqlite_begin` beside one without is told, and no other."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.execution_options(sqlite_begin="EXCLUSIVE").begin() as connection:
            connection.execute(CARL)
        with engine.begin() as connection:
            connection.execute(DORA)
    begins = [it for it in seen if it.startswith("BEGIN")]
    assert ["BEGIN EXCLUSIVE", "BEGIN"] == begins


def test_execution_option_of_a_statement_says_how_to_begin(tmp_path: Path) -> None:
    """`sqlite_begin` on the first statement of a transaction is heard."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            options = {"sqlite_begin": "EXCLUSIVE"}
            connection.execute(CARL, execution_options=options)
    assert ["BEGIN EXCLUSIVE"] == [it for it in seen if it.startswith("BEGIN")]


def test_execution_option_of_a_session_says_how_to_begin(tmp_path: Path) -> None:
    """`sqlite_begin` on the connection of a session holds for its transaction."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with Session(engine) as session:
            session.connection(execution_options={"sqlite_begin": "EXCLUSIVE"})
            session.add(Person(id=1, name="carl"))
            session.commit()
            session.add(Person(id=2, name="dora"))
            session.commit()
    begins = [it for it in seen if it.startswith("BEGIN")]
    assert ["BEGIN EXCLUSIVE", "BEGIN"] == begins


def test_without_a_begin_the_driver_begins(tmp_path: Path) -> None:
    """SQLiteOptions(begin=None) leaves beginning to sqlite3, ahead of an INSERT."""
    options = SQLiteOptions(begin=None)
    with engine_on(OURS, fresh(tmp_path), sqlite=options) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            connection.execute(NAMES)
            connection.execute(CARL)
    assert [
        "SELECT name FROM person ORDER BY id",
        "BEGIN ",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
    ] == seen


@pytest.mark.parametrize("begin", ["DEFERRED", "IMMEDIATE", None])
def test_write_takes_the_lock_whoever_begins(begin: str, tmp_path: Path) -> None:
    """There are no two writers, also where the engine begins another way."""
    options = SQLiteOptions(begin=begin, busy_timeout=0.05)  # type: ignore[arg-type]
    with engine_on(OURS, fresh(tmp_path), sqlite=options) as engine:
        with transaction(engine, write=True) as connection:
            connection.execute(NAMES)
            with pytest.raises(OperationalError, match="database is locked"):
                with transaction(engine, write=True) as other:
                    other.execute(NAMES)


@pytest.mark.parametrize("begin", ["DEFERRED", "IMMEDIATE", None])
def test_read_only_is_kept_whoever_begins(begin: str, tmp_path: Path) -> None:
    """SQLite refuses to write in a transaction that reads, and in no other."""
    options = SQLiteOptions(begin=begin)  # type: ignore[arg-type]
    file = fresh(tmp_path)
    with engine_on(OURS, file, sqlite=options, pool_size=1) as engine:
        for _ in range(2):
            with pytest.raises(OperationalError, match="readonly"):
                with transaction(engine, read_only=True) as connection:
                    connection.execute(CARL)
        with transaction(engine) as connection:
            connection.execute(DORA)
    assert ["dora"] == names(file)


@wrong_on("pysqlite", "a savepoint is released into nothing, which commits it")
def test_savepoint_first_is_rolled_back(driver: str, tmp_path: Path) -> None:
    """A savepoint that comes first belongs to the transaction around it."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            with connection.begin_nested():
                connection.execute(CARL)
            connection.rollback()
    assert [] == names(file)
    assert [
        "BEGIN",
        "SAVEPOINT sa_savepoint_1",
        "INSERT INTO person VALUES (1, 'carl')",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "ROLLBACK",
    ] == seen


def test_savepoints_are_rolled_back_one_by_one(tmp_path: Path) -> None:
    """What a savepoint's rollback undoes is what came after it, three deep."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.begin() as connection:
            outer = connection.begin_nested()
            connection.execute(CARL)
            middle = connection.begin_nested()
            connection.execute(DORA)
            inner = connection.begin_nested()
            connection.execute(EVE)
            inner.commit()
            middle.rollback()
            assert ["carl"] == list(connection.scalars(NAMES))
            connection.execute(EVE)
            outer.commit()
    assert ["carl", "eve"] == names(file)


def test_error_in_a_savepoint_keeps_what_was_before(tmp_path: Path) -> None:
    """An exception that leaves a savepoint undoes that, and nothing else."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.begin() as connection:
            connection.execute(CARL)
            with pytest.raises(LookupError):
                with connection.begin_nested():
                    connection.execute(DORA)
                    raise LookupError
            connection.execute(EVE)
    assert ["carl", "eve"] == names(file)


@wrong_on("pysqlite", "sqlite3 begins no transaction for DDL")
def test_table_made_first_is_rolled_back(driver: str, tmp_path: Path) -> None:
    """CREATE TABLE is part of its transaction, also where it is the first statement."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            connection.execute(text("CREATE TABLE town (id INTEGER)"))
            connection.rollback()
    assert ["person", "letter", "visit"] == tables(file)


@wrong_on("pysqlite", "sqlite3 begins no transaction for DDL")
def test_table_dropped_first_is_rolled_back(driver: str, tmp_path: Path) -> None:
    """DROP TABLE is part of its transaction, also where it is the first statement."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            connection.execute(text("DROP TABLE letter"))
            connection.rollback()
    assert ["person", "letter", "visit"] == tables(file)

"""What a stream sees, which locks it holds, and when it ends."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from async_layers import read, stream
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import (
    NAMES,
    Person,
    engine_on,
    fresh,
    is_locked,
    names,
    people,
    rollback_journal_on,
    tables,
    with_stock,
)

if TYPE_CHECKING:
    from pathlib import Path

TWO = {"yield_per": 2}
NEWCOMER = text("INSERT INTO person VALUES (99, 'newcomer')")


# --- what it sees


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_stream_has_all_rows_in_order(count: int, tmp_path: Path) -> None:
    """A stream ends after its last row, whether or not that fills its batch."""
    expected = ["1", "2", "3", "4", "5"][:count]
    with engine_on(OURS, people(tmp_path, count)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert expected == [name for (name,) in result]


def test_stream_is_read_as_one_likes(tmp_path: Path) -> None:
    """One, some, some more and the rest come in order, and then none."""
    with engine_on(OURS, people(tmp_path, 9)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert ("1",) == result.fetchone()
            assert [("2",), ("3",), ("4",)] == result.fetchmany(3)
            assert [("5",)] == result.fetchmany(1)
            assert [("6",), ("7",), ("8",), ("9",)] == result.fetchall()
            assert [] == result.fetchall()


def test_stream_comes_in_partitions(tmp_path: Path) -> None:
    """stream() gives batches, each but the last of the size that was asked for."""
    with engine_on(OURS, people(tmp_path, 5)) as engine:
        with stream(engine, select(Person.name), batch=2) as batches:
            found = [[name for (name,) in batch] for batch in batches]
    assert [["1", "2"], ["3", "4"], ["5"]] == found


def test_stream_results_alone_is_a_stream(tmp_path: Path) -> None:
    """With `stream_results` and `max_row_buffer` the rows come in such batches."""
    options = {"stream_results": True, "max_row_buffer": 2}
    with rollback_journal_on(OURS, file := people(tmp_path, 5)) as engine:
        with read(engine) as connection:
            result = connection.execute(NAMES, execution_options=options)
            assert ("1",) == result.fetchone()
            assert is_locked(file)
            assert [("2",), ("3",), ("4",), ("5",)] == result.fetchall()
            assert not is_locked(file)


@with_stock("pysqlite")
def test_stream_sees_what_is_inserted_behind_it(driver: str, tmp_path: Path) -> None:
    """Rows of the same connection come up if they lie ahead of the stream.

    Source: https://sqlite.org/isolation.html, "No Isolation Between Operations On
    The Same Database Connection".
    """
    with engine_on(driver, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            connection.execute(NEWCOMER)
            rest = [("3",), ("4",), ("5",), ("newcomer",)]
            assert rest == result.fetchall()


def test_stream_does_not_see_what_others_commit(tmp_path: Path) -> None:
    """Rows of another user do not come up."""
    file = people(tmp_path, 5)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            with closing(sqlite3.connect(file)) as outside, outside:
                outside.execute(NEWCOMER.text)
            assert [("3",), ("4",), ("5",)] == result.fetchall()


def test_two_streams_are_read_in_turns(tmp_path: Path) -> None:
    """Two streams of one connection do not disturb each other."""
    with engine_on(OURS, people(tmp_path, 4)) as engine:
        with engine.connect() as connection:
            first = connection.execute(NAMES, execution_options=TWO)
            second = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == first.fetchmany(2)
            assert [("1",), ("2",)] == second.fetchmany(2)
            assert [("3",), ("4",)] == first.fetchall()
            assert [("3",), ("4",)] == second.fetchall()


def test_stream_of_objects_goes_on_while_others_are_flushed(tmp_path: Path) -> None:
    """A session writes while it reads objects in batches."""
    file = people(tmp_path, 3)
    with engine_on(OURS, file) as engine:
        with Session(engine) as session:
            statement = select(Person).order_by(Person.id).where(Person.id < 100)
            found = session.scalars(statement, execution_options=TWO)
            for person in found:
                person.name = f"was {person.name}"
                session.flush()
            session.commit()
    assert ["was 1", "was 2", "was 3"] == names(file)


@with_stock("pysqlite")
def test_stream_goes_on_after_a_commit(driver: str, tmp_path: Path) -> None:
    """A commit ends the transaction, not the stream."""
    with engine_on(driver, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            connection.execute(NEWCOMER)
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            connection.commit()
            rest = [("3",), ("4",), ("5",), ("newcomer",)]
            assert rest == result.fetchall()


@with_stock("pysqlite")
def test_stream_goes_on_after_a_savepoint(driver: str, tmp_path: Path) -> None:
    """A savepoint that is rolled back takes its rows from the stream, not the rest."""
    with engine_on(driver, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            nested = connection.begin_nested()
            connection.execute(NEWCOMER)
            nested.rollback()
            assert [("3",), ("4",), ("5",)] == result.fetchall()


def test_returned_rows_of_a_stream_are_there_at_once(tmp_path: Path) -> None:
    """What an INSERT returns may be read after the commit, as a stream, too."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            statement = insert(Person).returning(Person.name)
            rows = [{"id": key, "name": str(key)} for key in range(1, 6)]
            result = connection.execute(statement, rows, execution_options=TWO)
            connection.commit()
            found = [name for (name,) in result]
    assert ["1", "2", "3", "4", "5"] == found == names(file)


def test_returned_rows_of_a_text_are_there_at_once(tmp_path: Path) -> None:
    """What a textual INSERT returns may be read after the commit, too."""
    file = fresh(tmp_path)
    statement = text(
        "INSERT INTO person VALUES (1, '1'), (2, '2'), (3, '3'), (4, '4') "
        "RETURNING name"
    )
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            result = connection.execute(statement, execution_options=TWO)
            connection.commit()
            found = [name for (name,) in result]
    assert ["1", "2", "3", "4"] == found == names(file)


# --- when it ends


ENDED = "A batch of a stream is refused"


def test_stream_ends_with_a_rollback(tmp_path: Path) -> None:
    """A rolled-back transaction has no rows any more, and the stream says so."""
    with engine_on(OURS, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            connection.rollback()
            with pytest.raises(DBAPIError, match=ENDED):
                result.fetchmany(2)


def test_stream_that_has_ended_says_so_again(tmp_path: Path) -> None:
    """A stream that was cut short never looks as if it were read to its end."""
    with engine_on(OURS, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            connection.rollback()
            for _ in range(2):
                with pytest.raises(DBAPIError):
                    result.fetchone()
            with pytest.raises(DBAPIError):
                result.fetchall()


def test_stream_ends_with_its_connection(tmp_path: Path) -> None:
    """A connection that was given back reads no more rows."""
    with engine_on(OURS, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
        with pytest.raises(DBAPIError, match=ENDED):
            result.fetchmany(2)


def test_stream_ends_when_its_connection_is_invalidated(tmp_path: Path) -> None:
    """A connection that was given up reads no more rows."""
    with engine_on(OURS, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            connection.invalidate()
            with pytest.raises(DBAPIError, match=ENDED):
                result.fetchmany(2)


FIFTH_FAILS = text(
    "SELECT CASE WHEN id < 5 THEN name ELSE abs(-9223372036854775807 - 1) END "
    "FROM person ORDER BY id"
)


def test_error_in_a_row_is_raised_with_its_batch(tmp_path: Path) -> None:
    """A statement that fails in its fifth row gives the batches before, and no more."""
    with engine_on(OURS, people(tmp_path, 6)) as engine:
        with engine.connect() as connection:
            result = connection.execute(FIFTH_FAILS, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            for _ in range(2):
                with pytest.raises(DBAPIError):
                    result.fetchmany(2)


def test_error_in_a_row_names_itself(tmp_path: Path) -> None:
    """The error of a batch is SQLite's, and the transaction goes on."""
    file = people(tmp_path, 6)
    with engine_on(OURS, file) as engine:
        with engine.begin() as connection:
            result = connection.execute(FIFTH_FAILS, execution_options=TWO)
            with pytest.raises(OperationalError, match="integer overflow"):
                result.fetchall()
            connection.execute(NEWCOMER)
    assert ["1", "2", "3", "4", "5", "6", "newcomer"] == names(file)


def test_schema_that_is_rolled_back_ends_a_stream(tmp_path: Path) -> None:
    """A savepoint with a table in it aborts the streams that are open."""
    with engine_on(OURS, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            nested = connection.begin_nested()
            connection.execute(text("CREATE TABLE town (id INTEGER)"))
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            nested.rollback()
            with pytest.raises(OperationalError, match="abort due to ROLLBACK"):
                result.fetchmany(2)


# --- what it locks


def test_stream_is_in_the_way_of_a_writer_until_it_ends(tmp_path: Path) -> None:
    """Without WAL a stream keeps others from writing, until it is read or closed."""
    file = people(tmp_path, 5)
    with rollback_journal_on(OURS, file) as engine, read(engine) as connection:
        result = connection.execute(NAMES, execution_options=TWO)
        assert is_locked(file)
        result.fetchall()
        assert not is_locked(file)
        result = connection.execute(NAMES, execution_options=TWO)
        result.close()
        assert not is_locked(file)


def test_stream_that_fails_locks_nothing(tmp_path: Path) -> None:
    """A batch that fails is the last, and its lock is gone."""
    file = people(tmp_path, 6)
    with rollback_journal_on(OURS, file) as engine, read(engine) as connection:
        result = connection.execute(FIFTH_FAILS, execution_options=TWO)
        with pytest.raises(OperationalError, match="integer overflow"):
            result.fetchall()
        assert not is_locked(file)


@with_stock("pysqlite")
def test_stream_is_in_the_way_of_drop_table(driver: str, tmp_path: Path) -> None:
    """A table is not dropped while a stream reads it; the stream goes on."""
    with engine_on(driver, people(tmp_path, 5)) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            assert [("1",), ("2",)] == result.fetchmany(2)
            with pytest.raises(OperationalError, match="database table is locked"):
                connection.execute(text("DROP TABLE person"))
            assert [("3",), ("4",), ("5",)] == result.fetchall()


def test_invalidated_connection_with_a_stream_locks_nothing(tmp_path: Path) -> None:
    """A connection that is given up with a stream open has no lock."""
    file = people(tmp_path, 5)
    with rollback_journal_on(OURS, file) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            connection.invalidate()
            assert not is_locked(file)
            result.close()


def test_abandoned_stream_is_not_in_the_way_of_drop_table(tmp_path: Path) -> None:
    """A stream that nobody holds any more locks no table of its connection."""
    file = people(tmp_path, 5)
    with engine_on(OURS, file) as engine:
        with engine.begin() as connection:
            connection.execute(NAMES, execution_options=TWO).fetchone()
            connection.execute(text("DROP TABLE person"))
    assert ["letter", "visit"] == tables(file)


def test_abandoned_stream_is_nothing_to_the_next_user(tmp_path: Path) -> None:
    """A stream that was broken off ends when its connection is given back.

    The next user reads what is there by then, and can write.
    """
    file = people(tmp_path, 5)
    with engine_on(OURS, file, pool_size=1) as engine:
        with engine.connect() as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            result.fetchone()
        with closing(sqlite3.connect(file)) as outside, outside:
            outside.execute("DELETE FROM person")
        with engine.begin() as connection:
            assert [] == connection.scalars(NAMES).all()
            connection.execute(NEWCOMER)
    assert ["newcomer"] == names(file)


def test_abandoned_stream_of_autocommit_is_nothing_to_the_next_user(
    tmp_path: Path,
) -> None:
    """A stream that was broken off in AUTOCOMMIT ends likewise."""
    file = people(tmp_path, 5)
    with rollback_journal_on(OURS, file) as engine:
        with read(engine) as connection:
            result = connection.execute(NAMES, execution_options=TWO)
            result.fetchone()
        assert not is_locked(file)

"""What a failed COMMIT leaves behind, and a rollback of SQLite's own."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import (
    CARL,
    DORA,
    EVE,
    NAMES,
    Person,
    begin_as_documented,
    engine_on,
    fresh,
    names,
    reading,
    rollback_journal_on,
    sent,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import TextClause

LEFT_OPEN = "the transaction stays open, and the next user commits its rows"
IN_THE_WAY = "the transaction stays open, and the next user cannot commit"
SECOND_HALF = "the rest of the transaction is committed without its beginning"

GONE = (
    "The transaction is gone: seen SQLite roll it back after 'UNIQUE constraint "
    "failed: person.id'; write rollback.. and run the whole transaction again"
)

LETTER_TO_NOBODY = text("INSERT INTO letter VALUES (1, 99)")
CARL_AGAIN = text("INSERT OR ROLLBACK INTO person VALUES (1, 'carl')")
MALLORY = text("INSERT INTO person VALUES (9, 'mallory')")
NO_MALLORY = """
CREATE TRIGGER no_mallory BEFORE INSERT ON person WHEN new.name = 'mallory'
BEGIN
    SELECT RAISE(ROLLBACK, 'mallory is not welcome');
END
"""


# --- a COMMIT that meets a reader


@wrong_on("pysqlite", LEFT_OPEN)
def test_locked_commit_of_a_connection_leaves_nothing(
    driver: str, tmp_path: Path
) -> None:
    """The next user does not commit the rows of a COMMIT that met a reader."""
    file = fresh(tmp_path)
    with rollback_journal_on(driver, file) as engine:
        with reading(file):
            with engine.connect() as connection:
                connection.execute(CARL)
                with pytest.raises(OperationalError, match="database is locked"):
                    connection.commit()
        with engine.begin() as connection:
            connection.execute(DORA)
    assert ["dora"] == names(file)


@wrong_on("pysqlite", LEFT_OPEN)
def test_locked_commit_of_a_session_leaves_nothing(driver: str, tmp_path: Path) -> None:
    """The next session does not commit the objects of a COMMIT that met a reader."""
    file = fresh(tmp_path)
    with rollback_journal_on(driver, file) as engine:
        with reading(file):
            with Session(engine) as session:
                session.add(Person(id=1, name="carl"))
                with pytest.raises(OperationalError, match="database is locked"):
                    session.commit()
        with Session(engine) as session:
            session.add(Person(id=2, name="dora"))
            session.commit()
    assert ["dora"] == names(file)


def test_locked_commit_of_a_block_leaves_nothing(tmp_path: Path) -> None:
    """The next user does not commit the rows of a block whose COMMIT met a reader."""
    file = fresh(tmp_path)
    with rollback_journal_on(OURS, file) as engine:
        with reading(file):
            with pytest.raises(OperationalError, match="database is locked"):
                with engine.begin() as connection:
                    connection.execute(CARL)
        with engine.begin() as connection:
            connection.execute(DORA)
    assert ["dora"] == names(file)


def test_locked_commit_is_rolled_back_at_once(tmp_path: Path) -> None:
    """A COMMIT that fails is followed by a ROLLBACK, and by a new transaction."""
    file = fresh(tmp_path)
    with rollback_journal_on(OURS, file) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            with reading(file):
                connection.execute(CARL)
                with pytest.raises(OperationalError):
                    connection.commit()
            connection.rollback()
            connection.execute(DORA)
            connection.commit()
    assert ["dora"] == names(file)
    assert [
        "BEGIN",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
        "ROLLBACK",
        "BEGIN",
        "INSERT INTO person VALUES (2, 'dora')",
        "COMMIT",
    ] == seen


def test_writer_that_has_read_too_early_leaves_nothing(tmp_path: Path) -> None:
    """A reader that cannot become a writer rolls back, and writes then.

    Source: https://sqlite.org/rescode.html, "SQLITE_BUSY_SNAPSHOT".
    """
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            connection.execute(NAMES)
            with engine.begin() as other:
                other.execute(CARL)
            with pytest.raises(OperationalError, match="database is locked"):
                connection.execute(DORA)
            connection.rollback()
            connection.execute(EVE)
            connection.commit()
    assert ["carl", "eve"] == names(file)


# --- a COMMIT that meets a constraint


@wrong_on("pysqlite", IN_THE_WAY)
def test_refused_commit_of_a_connection_leaves_nothing(
    driver: str, tmp_path: Path
) -> None:
    """The next user can commit after a COMMIT that broke a deferred foreign key."""
    file = fresh(tmp_path)
    with engine_on(driver, file, pool_size=1) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            connection.execute(LETTER_TO_NOBODY)
            with pytest.raises(IntegrityError, match="FOREIGN KEY constraint failed"):
                connection.commit()
        with engine.begin() as connection:
            connection.execute(DORA)
    assert ["dora"] == names(file)


@wrong_on("pysqlite", IN_THE_WAY)
def test_refused_commit_of_a_session_leaves_nothing(
    driver: str, tmp_path: Path
) -> None:
    """The next session can commit after one that broke a deferred foreign key."""
    file = fresh(tmp_path)
    with engine_on(driver, file, pool_size=1) as engine:
        with Session(engine) as session:
            session.add(Person(id=1, name="carl"))
            session.execute(LETTER_TO_NOBODY)
            with pytest.raises(IntegrityError, match="FOREIGN KEY constraint failed"):
                session.commit()
        with Session(engine) as session:
            session.add(Person(id=2, name="dora"))
            session.commit()
    assert ["dora"] == names(file)


def test_refused_commit_of_a_block_leaves_nothing(tmp_path: Path) -> None:
    """The next user can commit after a block that broke a deferred foreign key."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, pool_size=1) as engine:
        with pytest.raises(IntegrityError, match="FOREIGN KEY constraint failed"):
            with engine.begin() as connection:
                connection.execute(CARL)
                connection.execute(LETTER_TO_NOBODY)
        with engine.begin() as connection:
            connection.execute(DORA)
    assert ["dora"] == names(file)


# --- a transaction that SQLite rolled back


@wrong_on("pysqlite", SECOND_HALF)
def test_rest_of_a_transaction_is_not_committed(driver: str, tmp_path: Path) -> None:
    """After INSERT OR ROLLBACK has failed, nothing of the transaction is committed."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(IntegrityError, match="UNIQUE constraint failed"):
                connection.execute(CARL_AGAIN)
            with suppress(OperationalError):
                connection.execute(DORA)
                connection.commit()
    assert [] == names(file)


@wrong_on("pysqlite", SECOND_HALF)
def test_rest_of_a_transaction_with_a_trigger_is_not_committed(
    driver: str, tmp_path: Path
) -> None:
    """After RAISE(ROLLBACK) in a trigger nothing of the transaction is committed."""
    file = fresh(tmp_path)
    with closing(sqlite3.connect(file)) as outside:
        outside.execute(NO_MALLORY)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(IntegrityError, match="mallory is not welcome"):
                connection.execute(MALLORY)
            with suppress(OperationalError):
                connection.execute(DORA)
                connection.commit()
    assert [] == names(file)


@wrong_on("pysqlite", "with the documented recipe the rest is in autocommit")
def test_rest_of_a_transaction_of_ones_own_is_not_committed(
    driver: str, tmp_path: Path
) -> None:
    """After INSERT OR ROLLBACK nothing is committed, whoever sent the BEGIN."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        begin_as_documented(engine)
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(IntegrityError, match="UNIQUE constraint failed"):
                connection.execute(CARL_AGAIN)
            with suppress(OperationalError):
                connection.execute(DORA)
                connection.commit()
    assert [] == names(file)


@pytest.mark.parametrize(
    "statement",
    [DORA, NAMES, text("SAVEPOINT here"), text("BEGIN"), text("VACUUM")],
    ids=["insert", "select", "savepoint", "begin", "vacuum"],
)
def test_transaction_that_is_gone_refuses_statements(
    statement: TextClause, tmp_path: Path
) -> None:
    """What SQLite rolled back takes no statement more, and says why."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(IntegrityError):
                connection.execute(CARL_AGAIN)
            with pytest.raises(OperationalError, match=GONE):
                connection.execute(statement)


def test_transaction_that_is_gone_refuses_to_commit(tmp_path: Path) -> None:
    """A commit of what SQLite rolled back is an error, not a success."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(IntegrityError):
                connection.execute(CARL_AGAIN)
            with pytest.raises(OperationalError, match=GONE):
                connection.commit()


@wrong_on("pysqlite", "the commit says nothing, and carl is lost")
def test_session_that_lost_its_transaction_does_not_commit(
    driver: str, tmp_path: Path
) -> None:
    """A session does not commit the half that came after SQLite's rollback."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with Session(engine) as session:
            session.add(Person(id=1, name="carl"))
            session.flush()
            with pytest.raises(IntegrityError):
                session.execute(CARL_AGAIN)
            with suppress(OperationalError):
                session.add(Person(id=2, name="dora"))
                session.commit()
    assert [] == names(file)


def test_block_that_lost_its_transaction_fails_at_its_end(tmp_path: Path) -> None:
    """A block that goes on after SQLite's rollback ends with an error."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with pytest.raises(OperationalError, match=GONE):
            with engine.begin() as connection:
                connection.execute(CARL)
                with pytest.raises(IntegrityError):
                    connection.execute(CARL_AGAIN)
    assert [] == names(file)


def test_savepoint_that_lost_its_transaction_says_so(tmp_path: Path) -> None:
    """A savepoint cannot go back to what SQLite rolled back."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(OperationalError, match=GONE):
                with connection.begin_nested():
                    connection.execute(CARL_AGAIN)


def test_transaction_that_is_gone_ends_with_a_rollback(tmp_path: Path) -> None:
    """After rollback() the connection begins again."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(IntegrityError):
                connection.execute(CARL_AGAIN)
            connection.rollback()
            connection.execute(EVE)
            connection.commit()
    assert ["eve"] == names(file)


def test_transaction_that_is_gone_is_nothing_to_the_next_user(tmp_path: Path) -> None:
    """A connection that is given back after SQLite's rollback begins again."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, pool_size=1) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(IntegrityError):
                connection.execute(CARL_AGAIN)
        with engine.begin() as connection:
            connection.execute(EVE)
    assert ["eve"] == names(file)


def test_statement_that_fails_keeps_its_transaction(tmp_path: Path) -> None:
    """An error that SQLite undoes by itself leaves the transaction as it was."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.begin() as connection:
            connection.execute(CARL)
            with pytest.raises(IntegrityError):
                connection.execute(CARL)
            connection.execute(DORA)
    assert ["carl", "dora"] == names(file)

"""AUTOCOMMIT is autocommit, for a connection or an engine, and ends."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import (
    IntegrityError,
    InvalidRequestError,
    OperationalError,
    ResourceClosedError,
)
from sqlalchemy.orm import Session

from async_layers import SQLiteOptions, read, savepoint
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import (
    CARL,
    DORA,
    EVE,
    NAMES,
    Person,
    begin_as_documented,
    driver_of,
    engine_on,
    fresh,
    names,
    sent,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}


@wrong_on("pysqlite", "with the documented recipe BEGIN goes out in AUTOCOMMIT, too")
def test_autocommit_of_a_connection_keeps_its_rows(driver: str, tmp_path: Path) -> None:
    """In AUTOCOMMIT others see a row at once, and no rollback undoes it."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        if driver != OURS:
            begin_as_documented(engine)
        seen = sent(engine)
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(CARL)
            assert ["carl"] == names(file)
            connection.rollback()
    assert ["carl"] == names(file)
    assert ["INSERT INTO person VALUES (1, 'carl')"] == seen


@pytest.mark.parametrize(
    "arguments",
    [AUTOCOMMIT, {"execution_options": AUTOCOMMIT}],
    ids=["level", "option"],
)
def test_autocommit_of_an_engine_keeps_its_rows(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    """In AUTOCOMMIT no connection of the engine begins, nor does the second user."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, pool_size=1, **arguments) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            connection.execute(CARL)
        with engine.connect() as connection:
            connection.execute(DORA)
    assert ["carl", "dora"] == names(file)
    assert [
        "INSERT INTO person VALUES (1, 'carl')",
        "INSERT INTO person VALUES (2, 'dora')",
    ] == seen


def test_autocommit_of_an_engines_copy_is_its_own(tmp_path: Path) -> None:
    """An engine with AUTOCOMMIT beside one without share a pool, not the level."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, pool_size=1) as engine:
        with engine.execution_options(**AUTOCOMMIT).connect() as connection:
            connection.execute(CARL)
        with engine.connect() as connection:
            connection.execute(DORA)
    assert ["carl"] == names(file)


def test_next_user_of_a_connection_is_transactional_again(tmp_path: Path) -> None:
    """AUTOCOMMIT ends when its connection goes back to the pool."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, pool_size=1) as engine:
        seen = sent(engine)
        with read(engine) as connection:
            connection.execute(CARL)
        with engine.connect() as connection:
            connection.execute(DORA)
    assert ["carl"] == names(file)
    assert [
        "INSERT INTO person VALUES (1, 'carl')",
        "BEGIN",
        "INSERT INTO person VALUES (2, 'dora')",
        "ROLLBACK",
    ] == seen


def test_session_in_autocommit_keeps_what_it_flushed(tmp_path: Path) -> None:
    """What a session flushes in AUTOCOMMIT no rollback undoes."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, isolation_level="AUTOCOMMIT") as engine:
        with Session(engine) as session:
            session.add(Person(id=1, name="carl"))
            session.flush()
            session.rollback()
    assert ["carl"] == names(file)


def test_autocommit_has_no_begin_of_any_kind(tmp_path: Path) -> None:
    """An option that says how to begin says nothing in AUTOCOMMIT."""
    file = fresh(tmp_path)
    options = SQLiteOptions(begin="IMMEDIATE")
    with engine_on(OURS, file, sqlite=options) as engine:
        seen = sent(engine)
        with read(engine) as connection:
            connection.execute(CARL)
    assert ["INSERT INTO person VALUES (1, 'carl')"] == seen


@wrong_on("pysqlite", "ROLLBACK TO leaves the savepoint, and a transaction, open")
def test_savepoint_in_autocommit_leaves_no_transaction(
    driver: str, tmp_path: Path
) -> None:
    """After a savepoint that was rolled back, AUTOCOMMIT goes on."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with read(engine) as connection:
            with pytest.raises(LookupError):
                with connection.begin_nested():
                    connection.execute(CARL)
                    raise LookupError
            connection.execute(DORA)
    assert ["dora"] == names(file)


def test_our_savepoint_is_refused_in_autocommit(tmp_path: Path) -> None:
    """savepoint() has no transaction to return to."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with read(engine) as connection:
            with pytest.raises(InvalidRequestError, match="A savepoint is refused"):
                with savepoint(connection):
                    pytest.fail("there is no savepoint")


def test_our_savepoint_leaves_a_closed_connection_to_sqlalchemy(tmp_path: Path) -> None:
    """What is closed is refused by begin_nested() itself."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        connection = engine.connect()
        connection.close()
        with pytest.raises(ResourceClosedError):
            with savepoint(connection):
                pytest.fail("there is no savepoint")


def test_own_begin_in_autocommit_does_not_outlive_its_user(tmp_path: Path) -> None:
    """A BEGIN of one's own is rolled back when the connection is given back."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, pool_size=1) as engine:
        with read(engine) as connection:
            connection.execute(text("BEGIN"))
            connection.execute(CARL)
        with read(engine) as connection:
            connection.execute(DORA)
    assert ["dora"] == names(file)


def test_level_is_refused_in_a_transaction(tmp_path: Path) -> None:
    """SQLAlchemy refuses to change the level while a transaction is open."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            with pytest.raises(InvalidRequestError, match="may not be altered"):
                connection.execution_options(isolation_level="AUTOCOMMIT")


@wrong_on("pysqlite", "sqlite3 commits what is open when the level changes")
def test_change_of_level_commits_nothing(driver: str, tmp_path: Path) -> None:
    """A transaction that only the driver knows of is not committed on the way."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            driver_of(connection).execute(CARL.text)
            with suppress(InvalidRequestError):
                connection.execution_options(isolation_level="AUTOCOMMIT")
    assert [] == names(file)


def test_level_is_refused_in_a_transaction_of_the_driver(tmp_path: Path) -> None:
    """A transaction that only the driver knows of is refused by the dialect."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            driver_of(connection).execute(CARL.text)
            with pytest.raises(InvalidRequestError, match="seen a transaction that is"):
                connection.execution_options(isolation_level="AUTOCOMMIT")


def test_read_uncommitted_ends_with_its_user(tmp_path: Path) -> None:
    """READ UNCOMMITTED is told to SQLite, and taken back for the next user."""
    with engine_on(OURS, fresh(tmp_path), pool_size=1) as engine:
        with engine.connect() as connection:
            connection.execution_options(isolation_level="READ UNCOMMITTED")
            assert "READ UNCOMMITTED" == connection.get_isolation_level()
            assert 1 == connection.scalar(text("PRAGMA read_uncommitted"))
        with engine.connect() as connection:
            assert "SERIALIZABLE" == connection.get_isolation_level()
            assert 0 == connection.scalar(text("PRAGMA read_uncommitted"))


def test_asking_for_the_level_begins_nothing(tmp_path: Path) -> None:
    """`get_isolation_level()` looks, and sends no BEGIN."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            assert "SERIALIZABLE" == connection.get_isolation_level()
    assert ["PRAGMA read_uncommitted"] == seen


@pytest.mark.parametrize(
    "statement",
    [
        "VACUUM",
        "  vacuum",
        "/* nightly */ VACUUM",
        "-- nightly\nVACUUM",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA main.journal_mode = DELETE",
        'PRAGMA "main".journal_mode = DELETE',
        "PRAGMA synchronous = OFF",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ],
)
def test_what_sqlite_cannot_do_in_a_transaction_has_none(
    statement: str, tmp_path: Path
) -> None:
    """No BEGIN goes ahead of a statement that SQLite does not run after one."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            connection.execute(text(statement))
    assert [] == [it for it in seen if it.startswith("BEGIN")]


def test_vacuum_in_a_transaction_is_sqlites_error(tmp_path: Path) -> None:
    """VACUUM after another statement is refused by SQLite, and nothing is lost."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.begin() as connection:
            connection.execute(CARL)
            with pytest.raises(OperationalError, match="cannot VACUUM"):
                connection.execute(text("VACUUM"))
            connection.execute(DORA)
    assert ["carl", "dora"] == names(file)


def test_transaction_goes_on_after_a_pragma(tmp_path: Path) -> None:
    """After a first statement without a BEGIN the second one begins."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            connection.execute(text("PRAGMA synchronous = NORMAL"))
            connection.execute(CARL)
    assert [
        "PRAGMA synchronous = NORMAL",
        "BEGIN",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
    ] == seen


VISIT = text("INSERT INTO visit VALUES (1, 99)")


def test_foreign_keys_hold_from_the_first_statement(tmp_path: Path) -> None:
    """The first statement of the first connection is checked already."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            with pytest.raises(IntegrityError, match="FOREIGN KEY constraint failed"):
                connection.execute(VISIT)


@wrong_on("pysqlite", "with the documented recipe the PRAGMA comes after BEGIN")
def test_foreign_keys_can_be_turned_off_and_on(driver: str, tmp_path: Path) -> None:
    """PRAGMA foreign_keys takes effect where it is a transaction's first statement."""
    with engine_on(driver, fresh(tmp_path)) as engine:
        if driver != OURS:
            begin_as_documented(engine)
        with engine.connect() as connection:
            connection.execute(text("PRAGMA foreign_keys = OFF"))
            connection.execute(VISIT)
            connection.rollback()
            connection.execute(text("PRAGMA foreign_keys = ON"))
            with pytest.raises(IntegrityError):
                connection.execute(VISIT)


def test_foreign_keys_are_the_users_own_in_a_listener(tmp_path: Path) -> None:
    """What a connect listener says about foreign_keys comes after the dialect."""
    with engine_on(OURS, fresh(tmp_path)) as engine:

        def connect(connection: Any, _: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys = OFF")
            cursor.close()

        event.listen(engine, "connect", connect)
        with engine.begin() as connection:
            connection.execute(VISIT)
            assert 0 == connection.scalar(text("PRAGMA foreign_keys"))


def test_what_is_committed_is_read_in_autocommit(tmp_path: Path) -> None:
    """Each statement in AUTOCOMMIT sees what others have committed by then."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        with read(engine) as connection:
            assert [] == list(connection.scalars(NAMES))
            with engine.begin() as writer:
                writer.execute(EVE)
            assert ["eve"] == list(connection.scalars(NAMES))

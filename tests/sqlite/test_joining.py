"""A session that joins a transaction of a connection, as tests do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import CARL, NAMES, Person, engine_on, fresh, names, sent

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Transaction
    from sqlalchemy.orm.session import JoinTransactionMode

LEAKS = "the savepoint is the first statement, and its release commits"

MODES = [
    "conditional_savepoint",
    "rollback_only",
    "control_fully",
    "create_savepoint",
]


def finish(transaction: Transaction, how: str) -> None:
    """Commit a transaction or roll it back, if its session has not done so."""
    if transaction.is_active:
        getattr(transaction, how)()


@pytest.mark.parametrize("savepoints", [0, 1])
@pytest.mark.parametrize("mode", MODES)
def test_commits_of_session_and_connection_keep_both_rows(
    mode: JoinTransactionMode, savepoints: int, tmp_path: Path
) -> None:
    """What a session and then its connection commit is there, in every mode."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            outer = connection.begin()
            connection.execute(CARL)
            if savepoints:
                connection.begin_nested()
            with Session(connection, join_transaction_mode=mode) as session:
                session.add(Person(id=2, name="dora"))
                session.commit()
            finish(outer, "commit")
    assert ["carl", "dora"] == names(file)


@pytest.mark.parametrize(
    ("mode", "savepoints", "expected"),
    [
        ("conditional_savepoint", 0, []),
        ("conditional_savepoint", 1, []),
        ("rollback_only", 0, []),
        ("rollback_only", 1, []),
        ("control_fully", 0, ["carl", "dora"]),
        ("control_fully", 1, []),
        ("create_savepoint", 0, []),
        ("create_savepoint", 1, []),
    ],
)
def test_commit_of_a_session_outlives_its_connection_only_in_full_control(
    mode: JoinTransactionMode, savepoints: int, expected: list[str], tmp_path: Path
) -> None:
    """A rollback of the connection undoes what its session has committed."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            outer = connection.begin()
            connection.execute(CARL)
            if savepoints:
                connection.begin_nested()
            with Session(connection, join_transaction_mode=mode) as session:
                session.add(Person(id=2, name="dora"))
                session.commit()
            finish(outer, "rollback")
    assert expected == names(file)


@pytest.mark.parametrize(
    ("mode", "savepoints", "expected"),
    [
        ("conditional_savepoint", 0, []),
        ("conditional_savepoint", 1, ["carl"]),
        ("rollback_only", 0, []),
        ("rollback_only", 1, ["carl"]),
        ("control_fully", 0, []),
        ("control_fully", 1, ["carl"]),
        ("create_savepoint", 0, ["carl"]),
        ("create_savepoint", 1, ["carl"]),
    ],
)
def test_rollback_of_a_session_goes_as_far_as_its_savepoint(
    mode: JoinTransactionMode, savepoints: int, expected: list[str], tmp_path: Path
) -> None:
    """A session's rollback undoes the connection's rows where it has no savepoint."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            outer = connection.begin()
            connection.execute(CARL)
            if savepoints:
                connection.begin_nested()
            with Session(connection, join_transaction_mode=mode) as session:
                session.add(Person(id=2, name="dora"))
                session.flush()
                session.rollback()
            finish(outer, "commit")
    assert expected == names(file)


@wrong_on("pysqlite", LEAKS)
def test_session_in_a_savepoint_leaves_nothing(driver: str, tmp_path: Path) -> None:
    """A test's session commits and rolls back at will, and nothing is left.

    Source: https://docs.sqlalchemy.org/en/21/orm/session_transaction.html, "Joining a
    Session into an External Transaction (such as for test suites)".
    """
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            outer = connection.begin()
            mode: JoinTransactionMode = "create_savepoint"
            with Session(connection, join_transaction_mode=mode) as session:
                session.add(Person(id=1, name="carl"))
                session.commit()
                session.add(Person(id=1, name="carl again"))
                with pytest.raises(IntegrityError):
                    session.flush()
                session.rollback()
                session.add(Person(id=2, name="dora"))
                session.commit()
                assert ["carl", "dora"] == list(session.scalars(NAMES))
            outer.rollback()
    assert [] == names(file)


def test_session_in_a_savepoint_sends_only_savepoints(tmp_path: Path) -> None:
    """BEGIN and ROLLBACK are the connection's, and go out once."""
    with engine_on(OURS, fresh(tmp_path)) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            outer = connection.begin()
            mode: JoinTransactionMode = "create_savepoint"
            with Session(connection, join_transaction_mode=mode) as session:
                session.add(Person(id=1, name="carl"))
                session.commit()
                session.add(Person(id=2, name="dora"))
                session.flush()
                session.rollback()
            outer.rollback()
    assert [
        "BEGIN",
        "SAVEPOINT sa_savepoint_1",
        "INSERT INTO person (id, name) VALUES (1, 'carl')",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "SAVEPOINT sa_savepoint_2",
        "INSERT INTO person (id, name) VALUES (2, 'dora')",
        "ROLLBACK TO SAVEPOINT sa_savepoint_2",
        "ROLLBACK",
    ] == seen


@wrong_on("pysqlite", LEAKS)
def test_nested_session_transaction_first_is_rolled_back(
    driver: str, tmp_path: Path
) -> None:
    """`session.begin_nested()` first belongs to the session's transaction."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with Session(engine) as session:
            with session.begin_nested():
                session.add(Person(id=1, name="carl"))
            session.rollback()
    assert [] == names(file)

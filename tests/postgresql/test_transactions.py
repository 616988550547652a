"""Whose transaction a statement is in: the server's own state decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.postgresql._dialects import ASYNCPG, wrong_on
from tests.postgresql._people import People, state_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import Observer

PID = select(func.pg_backend_pid())
OWN_OBJECT = "asyncpg's Transaction says what it was told, not what the server is in"


def autocommit(engine: Engine) -> Connection:
    """Return a connection on which SQLAlchemy begins nothing."""
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


@wrong_on(ASYNCPG, OWN_OBJECT)
def test_hand_written_begin_is_rolled_back_by_the_pool(
    people: People, own_side: Side
) -> None:
    """A BEGIN under AUTOCOMMIT ends where the connection goes back, with its locks."""

    def body(engine: Engine) -> int:
        with autocommit(engine) as connection:
            connection.exec_driver_sql("BEGIN")
            connection.execute(people.insert("carl"))
            return int(connection.scalars(PID).one())

    pid = own_side.on_engine(body)
    assert ("idle", []) == (state_of(people.observer, pid), people.names())
    assert 0 == people.locks()


@wrong_on(ASYNCPG, OWN_OBJECT)
def test_next_user_of_autocommit_keeps_what_it_writes(
    people: People, own_side: Side
) -> None:
    """Nothing of the user before is left to swallow the row."""

    def body(engine: Engine) -> None:
        with autocommit(engine) as connection:
            connection.exec_driver_sql("BEGIN")
            connection.execute(people.insert("carl"))
        with autocommit(engine) as connection:
            connection.execute(people.insert("dora"))

    own_side.on_engine(body)
    assert ["dora"] == people.names()


def test_hand_written_transaction_under_autocommit_is_one(
    side: Side, people: People
) -> None:
    """BEGIN, a row, ROLLBACK; BEGIN, a row, COMMIT: the second row stays."""

    def body(connection: Connection) -> None:
        for name, end in (("carl", "ROLLBACK"), ("dora", "COMMIT")):
            connection.exec_driver_sql("BEGIN")
            connection.execute(people.insert(name))
            connection.exec_driver_sql(end)

    side.run(body, isolation_level="AUTOCOMMIT")
    assert ["dora"] == people.names()


@wrong_on(ASYNCPG, OWN_OBJECT)
@pytest.mark.parametrize(("end", "kept"), [("commit", ["carl"]), ("rollback", [])])
def test_hand_written_begin_is_ended_by_its_connection(
    people: People, own_side: Side, end: str, kept: list[str]
) -> None:
    """`commit()` and `rollback()` reach the server under AUTOCOMMIT too."""

    def body(engine: Engine) -> str | None:
        with autocommit(engine) as connection:
            pid = connection.scalars(PID).one()
            connection.exec_driver_sql("BEGIN")
            connection.execute(people.insert("carl"))
            getattr(connection, end)()
            return state_of(people.observer, pid)

    assert ("idle", kept) == (own_side.on_engine(body), people.names())


@wrong_on(ASYNCPG, OWN_OBJECT)
@pytest.mark.parametrize(
    ("end", "kept"),
    [("COMMIT", ["carl"]), ("end;", ["carl"]), ("ROLLBACK", []), ("abort", [])],
)
def test_next_statement_after_a_hand_written_end_begins_anew(
    side: Side, people: People, end: str, kept: list[str]
) -> None:
    """What comes after it is in a transaction again, and is rolled back."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        connection.exec_driver_sql(end)
        connection.execute(people.insert("dora"))
        connection.rollback()

    side.run(body)
    assert kept == people.names()


def test_hand_written_end_that_begins_anew_is_followed(
    side: Side, people: People
) -> None:
    """After COMMIT AND CHAIN the transaction is the server's, and ours to end."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        connection.exec_driver_sql("COMMIT AND CHAIN")
        connection.execute(people.insert("dora"))
        connection.rollback()
        connection.execute(people.insert("emma"))
        connection.commit()

    side.run(body)
    assert ["carl", "emma"] == people.names()


def test_commit_after_a_hand_written_end_does_nothing(
    side: Side, people: People
) -> None:
    """There is nothing to commit, and no error or warning about it."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        connection.exec_driver_sql("ROLLBACK")
        connection.commit()

    side.run(body)
    assert [] == people.names()


def test_transaction_begins_with_the_first_statement(
    side: Side, observer: Observer
) -> None:
    """`begin()` sends nothing; a statement does, and the end is the server's too."""

    def body(engine: Engine) -> list[str | None]:
        with engine.connect() as connection:
            pid = connection.scalars(PID).one()
            connection.commit()
            seen = [state_of(observer, pid)]
            with connection.begin():
                seen.append(state_of(observer, pid))
                connection.execute(select(1))
                seen.append(state_of(observer, pid))
            seen.append(state_of(observer, pid))
            return seen

    expected = ["idle", "idle", "idle in transaction", "idle"]
    assert expected == side.on_engine(body)


def test_failed_transaction_commits_nothing(side: Side, people: People) -> None:
    """The server answers COMMIT with ROLLBACK where the error was caught."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1 / 0"))
        connection.commit()

    side.run(body)
    assert [] == people.names()


def test_connection_is_of_use_after_a_commit_that_failed(
    side: Side, people: People
) -> None:
    """A constraint that is checked at the end fails there; the server is idle then."""
    people.tell(
        "CREATE TABLE letter (person int REFERENCES person "
        "DEFERRABLE INITIALLY DEFERRED)"
    )
    letter = text(f"INSERT INTO {people.schema}.letter VALUES (7)")  # noqa: S608

    def body(connection: Connection) -> str | None:
        pid = connection.scalars(PID).one()
        connection.execute(people.insert("carl"))
        connection.execute(letter)
        with pytest.raises(IntegrityError):
            connection.commit()
        seen = state_of(people.observer, pid)
        connection.rollback()
        connection.execute(people.insert("dora"))
        connection.commit()
        return seen

    assert "idle" == side.run(body)
    assert ["dora"] == people.names()

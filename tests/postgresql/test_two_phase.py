"""Transactions in two phases: prepared on one connection, ended on any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.orm import Session

from tests.postgresql import _prepared
from tests.postgresql._dialects import ASYNCPG, OURS_ASYNC, open_side, wrong_on
from tests.postgresql._prepared import prepared
from tests.postgresql._proxy import Proxy

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import Observer, People

people = _prepared.people

SURROUNDED = "COMMIT PREPARED is followed by a BEGIN and a ROLLBACK"


def prepare(people: People, name: str, connection: Connection) -> None:
    """Prepare a transaction, and leave it."""
    transaction = connection.begin_twophase(f"{people.schema} {name}")
    connection.execute(people.insert(name))
    transaction.prepare()
    connection.invalidate()


@pytest.mark.parametrize(("end", "kept"), [("commit", ["carl"]), ("rollback", [])])
def test_prepared_transaction_is_ended(
    side: Side, people: People, end: str, kept: list[str]
) -> None:
    """The second phase is the same connection's, and nothing is left prepared."""
    gid = f"{people.schema} carl"

    def body(connection: Connection) -> tuple[list[str], list[str]]:
        transaction = connection.begin_twophase(gid)
        connection.execute(people.insert("carl"))
        transaction.prepare()
        seen = prepared(people.observer, people.schema), people.names()
        getattr(transaction, end)()
        return seen

    assert ([gid], []) == side.run(body)
    left = prepared(people.observer, people.schema), people.names()
    assert ([], kept) == left


@pytest.mark.parametrize(("end", "kept"), [("commit", ["carl"]), ("rollback", [])])
def test_transaction_that_was_not_prepared_has_one_phase(
    side: Side, people: People, end: str, kept: list[str]
) -> None:
    """`commit()` and `rollback()` are ordinary ones then."""

    def body(connection: Connection) -> None:
        transaction = connection.begin_twophase(f"{people.schema} carl")
        connection.execute(people.insert("carl"))
        getattr(transaction, end)()

    side.run(body)
    assert kept == people.names()


def test_connection_is_of_use_after_two_phases(side: Side, people: People) -> None:
    """The next transaction on it is one like any other."""

    def body(connection: Connection) -> None:
        for name in ("carl", "dora"):
            transaction = connection.begin_twophase(f"{people.schema} {name}")
            connection.execute(people.insert(name))
            transaction.prepare()
            transaction.commit()
        connection.execute(people.insert("emma"))
        connection.rollback()

    side.run(body)
    assert ["carl", "dora"] == people.names()


@pytest.mark.parametrize(("end", "kept"), [("commit", ["carl"]), ("rollback", [])])
def test_transaction_is_recovered_on_another_connection(
    people: People, own_side: Side, end: str, kept: list[str]
) -> None:
    """The one that prepared it is gone; it is found, and ended."""
    gid = f"{people.schema} carl"

    def recover(connection: Connection) -> bool:
        found = gid in connection.recover_twophase()
        getattr(connection, f"{end}_prepared")(gid, recover=True)
        return found

    own_side.run(lambda connection: prepare(people, "carl", connection))
    assert own_side.run(recover)
    left = prepared(people.observer, people.schema), people.names()
    assert ([], kept) == left


def test_all_are_recovered_one_after_another(people: People, own_side: Side) -> None:
    """One connection ends several that others left."""
    for name in ("carl", "dora"):
        own_side.run(lambda connection, name=name: prepare(people, name, connection))  # type: ignore[misc]

    def recover(connection: Connection) -> None:
        for gid in connection.recover_twophase():
            if gid.startswith(people.schema):
                connection.commit_prepared(gid, recover=True)

    own_side.run(recover)
    assert ["carl", "dora"] == people.names()


def test_prepared_transaction_that_is_not_there_is_an_error(
    people: People, own_side: Side
) -> None:
    """The server's 42704 comes through, and the connection is of use afterwards.

    It is the driver's own error where SQLAlchemy does not see a statement.
    """

    def body(engine: Engine) -> None:
        errors = DBAPIError, engine.dialect.loaded_dbapi.Error
        with engine.connect() as connection:
            with pytest.raises(errors) as caught:
                connection.commit_prepared(f"{people.schema} nobody", recover=True)
            error = getattr(caught.value, "orig", caught.value)
            assert "42704" == getattr(error, "sqlstate", None)
        with engine.begin() as connection:
            connection.execute(people.insert("carl"))

    own_side.on_engine(body)
    assert ["carl"] == people.names()


@wrong_on(ASYNCPG, "nothing is begun, so that the row is there before the error")
def test_two_phases_are_refused_under_autocommit(
    people: People, own_side: Side
) -> None:
    """There would be no transaction to prepare; nothing is written."""

    def body(connection: Connection) -> None:
        with pytest.raises(ProgrammingError):
            transaction = connection.begin_twophase(f"{people.schema} carl")
            connection.execute(people.insert("carl"))
            transaction.prepare()
            transaction.commit()

    own_side.run(body, isolation_level="AUTOCOMMIT")
    assert [] == people.names()


def test_session_commits_in_two_phases(side: Side, people: People) -> None:
    """A session with `twophase` prepares before it commits."""

    def body(engine: Engine) -> None:
        with Session(engine, twophase=True) as session:
            session.execute(people.insert("carl"))
            session.prepare()
            assert 1 == len(unnamed(people.observer))
            session.commit()

    side.on_engine(body)
    assert ["carl"] == people.names()


def unnamed(observer: Observer) -> list[str]:
    """Return the prepared transactions to which SQLAlchemy gave their names."""
    rows: list[tuple[str]] = observer.execute(
        "SELECT gid FROM pg_prepared_xacts WHERE gid LIKE '\\_sa\\_%'"
    ).fetchall()
    return [gid for (gid,) in rows]


@wrong_on(ASYNCPG, SURROUNDED)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_nothing_is_sent_around_the_two_phases(
    driver: str, postgresql_url: str, people: People, end: str
) -> None:
    """The server is told what is needed: four statements."""
    gid = f"{people.schema} carl"

    def body(connection: Connection) -> None:
        transaction = connection.begin_twophase(gid)
        connection.exec_driver_sql("SELECT 1")
        transaction.prepare()
        getattr(transaction, end)()

    with Proxy(postgresql_url) as proxy, open_side(driver, proxy.url) as side:
        side.run(lambda connection: connection.exec_driver_sql("SELECT 1"))
        with proxy.counting() as traffic:
            side.run(body)
    assert [
        "BEGIN",
        "SELECT 1",
        f"PREPARE TRANSACTION '{gid}'",
        f"{end.upper()} PREPARED '{gid}'",
    ] == [statement.rstrip(";") for statement in traffic.statements]


@pytest.mark.parametrize(("end", "kept"), [("commit", ["carl"]), ("rollback", [])])
@pytest.mark.parametrize("named", ["{end}_twophase", "prepare_twophase"])
def test_listener_of_a_phase_commits_elsewhere(
    people: People, postgresql_url: str, named: str, end: str, kept: list[str]
) -> None:
    """One COMMIT stands in another, each on its own connection."""

    def body(connection: Connection) -> None:
        transaction = connection.begin_twophase(f"{people.schema} carl")
        connection.execute(people.insert("carl"))
        transaction.prepare()
        getattr(transaction, end)()

    def write(*_: object) -> None:
        with side.engine.begin() as connection:
            connection.execute(people.insert("dora"))

    with open_side(OURS_ASYNC, postgresql_url) as side:
        event.listen(side.engine, named.format(end=end), write)
        side.run(body)
    assert [*kept, "dora"] == people.names()

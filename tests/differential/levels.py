"""Isolation levels and read-only transactions."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from tests.differential._catalogue import cases
from tests.differential._ground import add, rows, run

if TYPE_CHECKING:
    from tests.differential._ground import Ground

LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
SHOW = "SHOW transaction_isolation"


@cases(*LEVELS)
def level_of_a_connection(ground: Ground, level: str) -> object:
    """The server has the level, for as long as the connection is lent."""
    with ground.engine.connect() as connection:
        connection.execution_options(isolation_level=level)
        told = [rows(connection, SHOW), connection.get_isolation_level()]
        connection.commit()
        told.append(rows(connection, SHOW))
    with ground.engine.connect() as connection:
        return [*told, rows(connection, SHOW)]


@cases(*LEVELS)
def level_of_an_engine(ground: Ground, level: str) -> object:
    """The server has the level that the engine was opened with."""
    engine = ground.open(isolation_level=level)
    with engine.connect() as connection:
        return [rows(connection, SHOW), connection.default_isolation_level]


def level_unknown(ground: Ground) -> object:
    """A level that nobody knows is refused."""
    options = {"isolation_level": "SNAPSHOT"}
    with ground.engine.connect() as connection:
        return ground.attempt(lambda: connection.execution_options(**options))


def level_asked(ground: Ground) -> object:
    """Asking for the level leaves the connection idle."""
    with ground.engine.connect() as connection:
        level = connection.get_isolation_level()
        return [level, connection.in_transaction(), ground.left()]


def level_asked_in_a_transaction(ground: Ground) -> object:
    """Asking for the level in a transaction does not end it."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        level = connection.get_isolation_level()
        connection.commit()
        return level


def _by_session(ground: Ground, **options: Any) -> object:
    with Session(ground.engine) as session:
        connection = session.connection(execution_options=options)
        shown = [rows(connection, SHOW), rows(connection, "SHOW transaction_read_only")]
        told = ground.attempt(add, session, 4)
        ground.attempt(session.commit)
        return [shown, told]


@cases("SERIALIZABLE", "AUTOCOMMIT")
def level_of_a_session(ground: Ground, level: str) -> object:
    """A session hands the level on to its connection."""
    return _by_session(ground, isolation_level=level)


def read_only(ground: Ground) -> object:
    """A read-only transaction refuses to write with 25006."""
    return _by_session(ground, postgresql_readonly=True)


def read_only_and_deferrable(ground: Ground) -> object:
    """The three options at once; the next user has none of them."""
    told = _by_session(
        ground,
        isolation_level="SERIALIZABLE",
        postgresql_readonly=True,
        postgresql_deferrable=True,
    )
    with ground.engine.connect() as connection:
        return [told, rows(connection, "SHOW transaction_read_only")]


def read_only_reset(ground: Ground) -> None:
    """The pool makes a connection writable again."""
    with ground.engine.connect() as connection:
        connection.execution_options(postgresql_readonly=True)
        rows(connection, "SELECT 1")
    with ground.engine.begin() as connection:
        add(connection, 4)


def repeatable_read(ground: Ground) -> object:
    """A snapshot does not see what others commit."""
    with ground.engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        before = rows(connection, "SELECT count(*) FROM item")
        ground.observe("INSERT INTO item VALUES (9)")
        return [before, rows(connection, "SELECT count(*) FROM item")]


@cases("REPEATABLE READ", "SERIALIZABLE")
def serialization_failure(ground: Ground, level: str) -> object:
    """A row that another has changed since the snapshot is 40001."""
    with ground.engine.connect() as connection:
        connection.execution_options(isolation_level=level)
        rows(connection, "SELECT * FROM item")
        ground.observe("UPDATE item SET n = 0 WHERE id = 1")
        sql = "UPDATE item SET n = n + 1 WHERE id = 1"
        told = ground.attempt(run, connection, sql)
        connection.rollback()
        run(connection, sql)
        connection.commit()
        return told

"""Isolation levels, AUTOCOMMIT, read-only, two phases."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, add, do, rows, run

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.differential._ground import Ground


def _autocommit(ground: Ground) -> Engine:
    return ground.engine.execution_options(isolation_level="AUTOCOMMIT")


def autocommit_keeps(ground: Ground) -> object:
    """Each statement stands for itself."""
    with _autocommit(ground).connect() as connection:
        add(connection, 4)
        return ground.observe("SELECT count(*) FROM item")


def autocommit_and_rollback(ground: Ground) -> None:
    """rollback() undoes nothing."""
    with _autocommit(ground).connect() as connection:
        add(connection, 4)
        connection.rollback()


def autocommit_and_error(ground: Ground) -> object:
    """A statement that fails does not keep the next from running."""
    with _autocommit(ground).connect() as connection:
        told = ground.attempt(add, connection, 1)
        add(connection, 4)
        return told


def autocommit_and_begin(ground: Ground) -> None:
    """begin() begins nothing."""
    with _autocommit(ground).connect() as connection, connection.begin():
        add(connection, 4)
        raise KeyError("mine")


def autocommit_and_savepoint(ground: Ground) -> object:
    """A savepoint is refused outside of a transaction."""
    with _autocommit(ground).connect() as connection:
        return ground.attempt(connection.begin_nested)


def autocommit_vacuum(ground: Ground) -> None:
    """VACUUM runs."""
    with _autocommit(ground).connect() as connection:
        run(connection, "VACUUM item")


def autocommit_executemany_fails(ground: Ground) -> object:
    """Of an executemany that fails, all or the first rows stay."""
    with _autocommit(ground).connect() as connection:
        given = [{"id": number, "n": 0} for number in (4, 5, 1)]
        return ground.attempt(lambda: connection.execute(ITEM.insert(), given))


def autocommit_then_not(ground: Ground) -> object:
    """The next user of the connection has transactions again."""
    with _autocommit(ground).connect() as connection:
        add(connection, 4)
    with ground.engine.connect() as connection:
        add(connection, 5)
        connection.rollback()
        return connection.get_isolation_level()


def autocommit_of_the_engine(ground: Ground) -> None:
    """create_engine() can say so for all connections."""
    engine = ground.open(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        add(connection, 4)


def autocommit_option_too_late(ground: Ground) -> object:
    """The level cannot change in a transaction."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        level = {"isolation_level": "AUTOCOMMIT"}
        return ground.attempt(lambda: connection.execution_options(**level))


@cases("BEGIN", "START TRANSACTION")
def autocommit_hand_written_begin(ground: Ground, begin: str) -> object:
    """What a hand-written BEGIN began is rolled back by the pool."""
    with _autocommit(ground).connect() as connection:
        connection.exec_driver_sql(begin)
        add(connection, 4)
    state = ground.left()
    with _autocommit(ground).connect() as connection:
        add(connection, 5)
    return state


def autocommit_hand_written_pair(ground: Ground) -> None:
    """A hand-written BEGIN and COMMIT keep."""
    with _autocommit(ground).connect() as connection:
        connection.exec_driver_sql("BEGIN")
        add(connection, 4)
        connection.exec_driver_sql("COMMIT")


def autocommit_stream(ground: Ground) -> object:
    """A stream outside of a transaction."""
    options = {"stream_results": True}
    with _autocommit(ground).connect() as connection:
        streaming = connection.execution_options(**options)
        return ground.attempt(rows, streaming, "SELECT id FROM item ORDER BY 1")


def autocommit_refused_value(ground: Ground) -> object:
    """A value that no type is known for leaves the connection idle, without locks."""
    with _autocommit(ground).connect() as connection:
        told = ground.attempt(do, connection, ITEM.insert(), {"id": object()})
        locks = ground.observe(
            "SELECT mode FROM pg_locks WHERE relation = 'item'::regclass"
        )
        return [told, locks, ground.left()]

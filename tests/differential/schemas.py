"""DDL, settings and locks in transactions."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, rows, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from tests.differential._ground import Ground


def _ddl_create(connection: Connection) -> None:
    run(connection, "CREATE TABLE made (id int)")


def _ddl_drop(connection: Connection) -> None:
    run(connection, "DROP TABLE item")


def _ddl_alter(connection: Connection) -> None:
    run(connection, "ALTER TABLE item ADD COLUMN more int DEFAULT 7")


def _ddl_truncate(connection: Connection) -> None:
    run(connection, "TRUNCATE item")


def _ddl_metadata(connection: Connection) -> None:
    ITEM.metadata.drop_all(connection)
    ITEM.metadata.create_all(connection)


_DDL = (_ddl_create, _ddl_drop, _ddl_alter, _ddl_truncate, _ddl_metadata)


@cases(*((each.__name__.removeprefix("_ddl_"), each) for each in _DDL))
def ddl_undone(ground: Ground, _: str, ddl: Callable[[Connection], None]) -> None:
    """DDL goes with its transaction."""
    with ground.engine.begin() as connection:
        ddl(connection)
        raise KeyError("mine")


@cases(*((each.__name__.removeprefix("_ddl_"), each) for each in _DDL))
def ddl_kept(ground: Ground, _: str, ddl: Callable[[Connection], None]) -> None:
    """DDL stays with its transaction."""
    with ground.engine.begin() as connection:
        ddl(connection)


def statement_that_no_transaction_takes(ground: Ground) -> object:
    """VACUUM is refused in a transaction."""
    with ground.engine.connect() as connection:
        told = ground.attempt(lambda: connection.execute(text("VACUUM item")))
        return [told, ground.attempt(rows, connection, "SELECT 1")]


def set_local(ground: Ground) -> object:
    """SET LOCAL ends with the transaction."""
    with ground.engine.connect() as connection:
        run(connection, "SET LOCAL statement_timeout = '7s'")
        before = rows(connection, "SHOW statement_timeout")
        connection.commit()
        return [before, rows(connection, "SHOW statement_timeout")]


def set_rolled_back(ground: Ground) -> object:
    """SET goes with a ROLLBACK."""
    with ground.engine.connect() as connection:
        run(connection, "SET statement_timeout = '7s'")
        connection.rollback()
        return rows(connection, "SHOW statement_timeout")


def set_and_given_back(ground: Ground) -> object:
    """SET that was committed outlives its stay in the pool."""
    with ground.engine.begin() as connection:
        run(connection, "SET statement_timeout = '7s'")
    with ground.engine.connect() as connection:
        return rows(connection, "SHOW statement_timeout")


def lock_timeout(ground: Ground) -> object:
    """A lock that is not to be had in time is 55P03."""
    with ground.engine.connect() as holder, ground.engine.connect() as waiter:
        rows(holder, "SELECT * FROM item WHERE id = 1 FOR UPDATE")
        run(waiter, "SET LOCAL lock_timeout = '20ms'")
        return ground.attempt(run, waiter, "UPDATE item SET n = 0 WHERE id = 1")


def lock_nowait(ground: Ground) -> object:
    """NOWAIT is 55P03 at once."""
    with ground.engine.connect() as holder, ground.engine.connect() as waiter:
        rows(holder, "SELECT * FROM item WHERE id = 1 FOR UPDATE")
        sql = "SELECT * FROM item WHERE id = 1 FOR UPDATE NOWAIT"
        return ground.attempt(rows, waiter, sql)


def lock_skipped(ground: Ground) -> object:
    """SKIP LOCKED passes the row by."""
    with ground.engine.connect() as holder, ground.engine.connect() as waiter:
        rows(holder, "SELECT * FROM item WHERE id = 1 FOR UPDATE")
        return rows(waiter, "SELECT id FROM item ORDER BY id FOR UPDATE SKIP LOCKED")

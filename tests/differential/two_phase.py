"""Transactions in two phases."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from tests.differential._catalogue import cases
from tests.differential._ground import add

if TYPE_CHECKING:
    from tests.differential._ground import Ground


@cases("commit", "rollback")
def two_phases(ground: Ground, end: str) -> object:
    """A prepared transaction is nobody's until its end."""
    with ground.engine.connect() as connection:
        transaction = connection.begin_twophase(f"x{ground.application}")
        add(connection, 4)
        transaction.prepare()
        seen = ground.observe("SELECT count(*) FROM item")
        getattr(transaction, end)()
        return [seen, connection.in_transaction()]


def two_phases_not_prepared(ground: Ground) -> None:
    """commit() without prepare() prepares too, or does not."""
    with ground.engine.connect() as connection:
        transaction = connection.begin_twophase(f"x{ground.application}")
        add(connection, 4)
        transaction.commit()


def two_phases_rolled_back_unprepared(ground: Ground) -> None:
    """rollback() without prepare() is an ordinary one."""
    with ground.engine.connect() as connection:
        transaction = connection.begin_twophase(f"x{ground.application}")
        add(connection, 4)
        transaction.rollback()


def two_phases_recovered(ground: Ground) -> object:
    """Another connection ends what was prepared."""
    name = f"x{ground.application}"
    with ground.engine.connect() as connection:
        connection.begin_twophase(name).prepare()
        connection.invalidate()
    with ground.engine.connect() as connection:
        found = name in connection.recover_twophase()
        connection.rollback()
        with connection.begin():
            pass
        told = ground.attempt(lambda: connection.commit_prepared(name, recover=True))
        return [found, told]


def two_phases_in_a_session(ground: Ground) -> None:
    """A session can do it too."""
    with Session(ground.engine, twophase=True) as session:
        add(session, 4)
        session.prepare()
        session.commit()


def two_phases_fail(ground: Ground) -> object:
    """PREPARE TRANSACTION of a failed transaction rolls it back."""
    with ground.engine.connect() as connection:
        transaction = connection.begin_twophase(f"x{ground.application}")
        ground.attempt(add, connection, 1)
        told = ground.attempt(transaction.prepare)
        return [told, ground.attempt(transaction.rollback)]

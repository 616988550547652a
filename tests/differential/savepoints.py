"""Savepoints: kept, undone, nested, out of order."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from tests.differential._catalogue import cases
from tests.differential._ground import add

if TYPE_CHECKING:
    from tests.differential._ground import Ground


def savepoint_kept(ground: Ground) -> None:
    """A savepoint that is left is part of the transaction."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        with connection.begin_nested():
            add(connection, 5)


def savepoint_undone(ground: Ground) -> None:
    """An exception that leaves a savepoint undoes what is in it, and no more."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        try:
            with connection.begin_nested():
                add(connection, 5)
                add(connection, 1)
        except DBAPIError:
            add(connection, 6)


def savepoint_first(ground: Ground) -> None:
    """A savepoint can be the first thing in a transaction."""
    with ground.engine.connect() as connection:
        with connection.begin_nested():
            add(connection, 4)
        connection.rollback()


def savepoint_kept_transaction_undone(ground: Ground) -> None:
    """A savepoint that is left goes with its transaction."""
    with ground.engine.begin() as connection:
        with connection.begin_nested():
            add(connection, 4)
        raise KeyError("mine")


@cases("rrr", "rrc", "rcr", "rcc", "crr", "crc", "ccr", "ccc")
def savepoints_three_deep(ground: Ground, ends: str) -> object:
    """Three savepoints, each kept (c) or undone (r), from the inside."""
    with ground.engine.begin() as connection:
        opened = list[object]()
        for number in (4, 5, 6):
            opened.append(connection.begin_nested())
            add(connection, number)
        for end, savepoint in zip(ends, reversed(opened), strict=True):
            getattr(savepoint, "commit" if end == "c" else "rollback")()
        return connection.in_nested_transaction()


@cases("commit", "rollback")
def savepoints_out_of_order(ground: Ground, end: str) -> object:
    """The outer savepoint ends before the inner."""
    with ground.engine.begin() as connection:
        outer = connection.begin_nested()
        add(connection, 4)
        inner = connection.begin_nested()
        add(connection, 5)
        told = ground.attempt(getattr(outer, end))
        return [told, ground.attempt(getattr(inner, end)), inner.is_active]


def savepoint_after_an_error(ground: Ground) -> object:
    """A savepoint cannot be made in a failed transaction."""
    with ground.engine.connect() as connection:
        ground.attempt(add, connection, 1)
        return ground.attempt(connection.begin_nested)


def savepoint_of_a_connection_closed(ground: Ground) -> None:
    """close() with a savepoint open rolls back all."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.begin_nested()
        add(connection, 5)


def rollback_over_a_savepoint(ground: Ground) -> object:
    """rollback() of the connection ends the savepoint too."""
    with ground.engine.connect() as connection:
        savepoint = connection.begin_nested()
        add(connection, 5)
        connection.rollback()
        return [savepoint.is_active, ground.attempt(savepoint.commit)]

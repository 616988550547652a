"""Facts of layer 2: the connection and its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from async_layers import transaction
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from sqlalchemy import Engine


def commit_as_you_go(engine: Engine) -> None:
    """Each commit ends a transaction; the next statement begins another."""
    with engine.connect() as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        connection.commit()
        connection.execute(insert(Account).values(id=4, owner="dora", balance=20))
        connection.commit()


def raise_inside(engine: Engine) -> None:
    """An exception that leaves the block rolls back and travels on."""
    with transaction(engine) as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        raise LookupError


def unique_violation(engine: Engine) -> None:
    """A statement that violates a constraint fails and rolls back its block."""
    with transaction(engine) as connection:
        connection.execute(insert(Account).values(id=3, owner="anna", balance=10))

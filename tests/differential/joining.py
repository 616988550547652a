"""Sessions that join a transaction."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from tests.differential._catalogue import cases
from tests.differential._ground import run
from tests.differential._models import Item

if TYPE_CHECKING:
    from tests.differential._ground import Ground


_MODES = (
    "conditional_savepoint",
    "rollback_only",
    "control_fully",
    "create_savepoint",
)


@cases(*itertools.product(_MODES, ("commit", "rollback", "close")))
def join_transaction_mode(ground: Ground, mode: Any, end: str) -> object:
    """What a session does to the transaction that it joins."""
    with ground.engine.connect() as connection:
        transaction = connection.begin()
        run(connection, "INSERT INTO item VALUES (4)")
        session = Session(connection, join_transaction_mode=mode)
        session.add(Item(id=5))
        session.flush()
        getattr(session, end)()
        session.close()
        told = [transaction.is_active, connection.in_transaction()]
        if transaction.is_active:
            transaction.commit()
        return told


@cases("commit", "rollback")
def join_a_savepoint(ground: Ground, end: str) -> object:
    """A session on a connection that is in a savepoint."""
    with ground.engine.connect() as connection, connection.begin():
        savepoint = connection.begin_nested()
        session = Session(connection)
        session.add(Item(id=5))
        session.flush()
        getattr(session, end)()
        session.close()
        return [savepoint.is_active, connection.in_transaction()]

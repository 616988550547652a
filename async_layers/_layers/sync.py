"""The synchronous objects below those of asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from async_layers._layers.engine import adopt
from async_layers._layers.guard.made import remade

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.orm import SessionTransaction


class AdoptingSession(Session):
    """A session whose engines are ours, whichever it chooses, and whenever."""

    def get_bind(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - typed there
        """Return what is asked for, whose connections know their outcome."""
        bind = super().get_bind(*arguments, **named)
        return adopt(bind) if isinstance(bind, Engine) else bind


def sync_of(connection: AsyncConnection) -> Connection:
    """Return the connection that does the work of one of asyncio, which is open."""
    sync = connection.sync_connection
    assert sync is not None
    return sync


def adopt_for(sync: Session) -> SessionTransaction:
    """Return a session's transaction; the engines that it uses are ours from now on."""
    if type(sync).get_bind is not Session.get_bind:
        remade(AdoptingSession, sync)
    for bind in {sync.bind, *sync.binds.values()}:
        if isinstance(bind, Engine):
            adopt(bind)
    transaction = sync.get_transaction()
    assert transaction is not None
    return transaction

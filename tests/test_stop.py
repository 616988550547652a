"""Who cannot be asked to stop, or cut off, is left alone."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest
from psycopg import capabilities
from sqlalchemy.pool import NullPool

from async_layers._layers.deadline.budget import Budget
from async_layers._layers.deadline.cut import cut
from async_layers._layers.deadline.stop import (
    interrupt,
    stop,
    stop_async,
    stop_cancelled,
)
from async_layers._layers.deadline.telling import Teller

if TYPE_CHECKING:
    from sqlalchemy import Connection, Pool
    from sqlalchemy.pool import ManagesConnection


def pooled(driver: object) -> ManagesConnection:
    """Return a pool's connection of a driver's."""
    return cast(
        "ManagesConnection",
        SimpleNamespace(dbapi_connection=driver, driver_connection=driver),
    )


NO_POOL = cast("Pool", NullPool(lambda: cast("Any", None)))


@pytest.mark.parametrize("driver", [None, object()], ids=["none", "unknown"])
async def test_an_unknown_driver_is_not_asked(driver: object) -> None:
    """Neither way; and there is nothing to cut."""
    assert not stop(pooled(driver))
    assert not await stop_async(pooled(driver), NO_POOL)
    cut(pooled(driver))
    interrupt(pooled(driver))
    interrupt(None)


class Psycopg:
    """What a connection of psycopg's tells who wants to end it."""

    __module__ = "psycopg"

    def __init__(self, number: int | None) -> None:
        self.closed = True
        self.asked = 0
        self._number = number

    def fileno(self) -> int:
        """Return the number of the socket."""
        if self._number is None:
            raise psycopg.OperationalError("the connection is closed")
        return self._number

    def cancel_safe(self, timeout: float) -> None:
        """Count who asks."""
        del timeout
        self.asked += 1


def test_an_old_libpq_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before version 17 nothing bounds its request; the server has been told."""
    driver = Psycopg(None)
    assert stop(pooled(driver))

    def has_cancel_safe(*, check: bool) -> bool:
        assert check
        raise psycopg.NotSupportedError

    monkeypatch.setattr(capabilities, "has_cancel_safe", has_cancel_safe)
    assert not stop(pooled(driver))
    assert 1 == driver.asked


def test_a_socket_that_was_closed_meanwhile_is_not_shut() -> None:
    """Its number may be somebody else's by now: nothing happens to that one."""
    cut(pooled(Psycopg(None)))
    one, other = socket.socketpair()
    with one, other:
        cut(pooled(Psycopg(one.fileno())))
        one.sendall(b"alive")
        assert b"alive" == other.recv(5)


def of(package: str, **names: object) -> object:
    """Return a driver's connection, of a class in its package."""
    made = type("Connection", (SimpleNamespace,), {"__module__": package})
    return made(**names)


def test_a_link_that_has_ended_already_is_not_cut() -> None:
    """It is none any more; or the other side was quicker."""
    cut(pooled(of("pymysql", _sock=None)))
    cut(pooled(of("aiomysql", _writer=None)))
    cut(pooled(of("asyncmy", _transport=None)))
    link = socket.socket()
    cut(pooled(of("pymysql", _sock=link)))  # it was never connected
    link.close()


@pytest.mark.parametrize("gone", ["closed", "invalidated"])
def test_a_connection_that_is_gone_is_not_stopped(gone: str) -> None:
    """Nobody knows its number any more."""
    state: Any = {"closed": False, "invalidated": False, gone: True}
    known: Any = SimpleNamespace(dialect=SimpleNamespace(driver="asyncmy"), **state)
    stop_cancelled(known)


class Told:
    """A connection of a database, and what its server is told."""

    def __init__(self, name: str) -> None:
        self.dialect = SimpleNamespace(name=name)
        self.connection = SimpleNamespace(dbapi_connection=object(), cursor=self.cursor)
        self.invalidated_by: Exception | None = None

    def cursor(self) -> object:
        """Fail."""
        raise LookupError

    def invalidate(self, error: Exception) -> None:
        """Note why."""
        self.invalidated_by = error


def test_an_unknown_server_is_told_nothing() -> None:
    """What stops it is its client."""
    told = Told("oracle")
    teller = Teller(cast("Connection", told))
    teller.tell("SELECT 1", Budget(1))
    teller.take_back()
    assert told.invalidated_by is None


def test_a_server_that_does_not_forget_is_given_up() -> None:
    """The next user of the connection shall not have another's deadline."""
    told = Told("mysql")
    teller = Teller(cast("Connection", told))
    teller._told = told
    teller.take_back()
    assert isinstance(told.invalidated_by, LookupError)

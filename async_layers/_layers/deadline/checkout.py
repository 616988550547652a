"""Check a connection out within the deadline of the scope that opens."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.pool import Pool
from sqlalchemy.util.concurrency import await_, greenlet_spawn

from async_layers._layers.deadline.budget import CONNECTING, POOL
from async_layers._layers.deadline.limit import OPENING
from async_layers._layers.deadline.making import make_in_task, make_in_thread
from async_layers._layers.guard.made import remade

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import PoolProxiedConnection
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

    from async_layers._layers.deadline.limit import Limit
    from async_layers._layers.deadline.operation import Operation


def check_out(pool: Pool) -> PoolProxiedConnection:
    """Check a connection out, within the deadline of the scope."""
    limit = OPENING.get()
    assert limit is not None
    if limit.budget.is_over:
        raise limit.budget.refused(POOL)
    operation = limit.connecting(pool)
    with limit.watch(operation):
        return _bounded(pool).connect()


def _bounded(pool: Pool) -> Pool:
    """Return the pool, which asks from now on how much time there is."""
    if not isinstance(pool, BoundedPool):
        remade(BoundedPool, pool)
        pool._creator = pool._creator  # noqa: SLF001 - wrapped anew
        dialect = pool._dialect  # noqa: SLF001 - no public name
        hasten = _HASTENED.get(getattr(dialect, "driver", ""))
        if hasten is not None:
            event.listen(dialect, "do_connect", hasten)
    return pool


class BoundedPool(Pool):
    """A pool that waits, connects and pings within the deadline of who asks."""

    @property
    def _timeout(self) -> float | None:
        """How long to wait for a connection to come back, in seconds."""
        own: float | None = self.__dict__["_timeout"]
        limit = OPENING.get()
        if limit is None:
            return own
        left = limit.budget.left
        return left if own is None else min(own, left)

    @_timeout.setter
    def _timeout(self, seconds: float | None) -> None:
        self.__dict__["_timeout"] = seconds

    def _do_get(self) -> ConnectionPoolEntry:
        record = super()._do_get()
        limit = OPENING.get()
        if limit is not None:
            _connecting(limit).held = record  # a ping may wait for it
        return record

    def _should_wrap_creator(self, creator: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
        make = super()._should_wrap_creator(creator)
        return partial(self._make, make)

    def _make(
        self,
        make: Callable[[ConnectionPoolEntry], DBAPIConnection],
        record: ConnectionPoolEntry,
    ) -> DBAPIConnection:
        limit = OPENING.get()
        if limit is None or limit.running is None:
            return make(record)
        operation, budget = _connecting(limit), limit.budget
        operation.held = None
        dialect: Any = self._dialect
        if getattr(dialect, "name", "") == "sqlite":
            connection: DBAPIConnection | None = make(record)
        elif dialect.is_async:
            work = greenlet_spawn(make, record)
            connection = await_(make_in_task(work, budget.left, dialect.do_terminate))
        else:
            connection = make_in_thread(
                lambda: make(record), budget.left, dialect.do_close
            )
        if connection is None:
            raise budget.stopped(CONNECTING)
        operation.held = record  # what the engine asks first may wait for it
        return connection


def _connecting(limit: Limit) -> Operation:
    """Return what runs, which does not wait for the pool any more."""
    assert limit.running is not None
    limit.running.part = CONNECTING
    return limit.running


def _hasten_psycopg(
    dialect: object, record: object, arguments: object, named: dict[str, Any]
) -> None:
    """Have psycopg give up about when its caller does; it knows whole seconds."""
    del dialect, record, arguments
    limit = OPENING.get()
    if limit is not None:
        left = math.ceil(limit.budget.left)
        named["connect_timeout"] = min(int(named.get("connect_timeout", left)), left)


def _hasten_pymysql(
    dialect: Any,  # noqa: ANN401 - SQLAlchemy's, as the others
    record: object,
    arguments: list[Any],
    named: dict[str, Any],
) -> Any:  # noqa: ANN401
    """Have PyMySQL give up when its caller does, also if nobody greets it."""
    del record
    limit = OPENING.get()
    if limit is None:
        return None
    left = max(0.001, limit.budget.left)
    hasty = {"connect_timeout": min(named.get("connect_timeout", left), left)}
    connection = dialect.connect(*arguments, **named | hasty | {"read_timeout": left})
    connection._read_timeout = named.get("read_timeout")  # noqa: SLF001 - has no other
    return connection


# Connecting that is given up goes on in its thread for as long as its driver likes.
_HASTENED = {"psycopg": _hasten_psycopg, "pymysql": _hasten_pymysql}

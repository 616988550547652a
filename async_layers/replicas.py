"""Layer 1: engines of a primary and its standbys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, cast

from async_layers._positions import POSITION, Waiting, require_postgresql
from async_layers._replicas import follow_promotion, plan_engines
from async_layers.connection import read
from async_layers.engine import create_engine

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import URL, Connection, Engine


class Engines(NamedTuple):
    """The engine that writes, and the one that reads.

    Each is disposed of by a scope of its own, `engine_scope(engines.primary)`.
    """

    primary: Engine
    reading: Engine


def create_engines(url: str | URL, **arguments: object) -> Engines:
    """Open an engine on the primary and one on its standbys, from a URL of all.

    `postgresql://user@one:5432,two:5433/app`, or `?host=one:5432&host=two:5433`.
    The drivers look for the first host that takes writes, and for the first that
    is a standby, or for any where there is none; each host has `connect_timeout`
    seconds to answer, 5 if it is not given. The other arguments are those of
    `create_engine`, for both engines.

    After a promotion `primary` connects to the promoted server: lost connections
    are opened anew, and so is the whole pool after a write that is refused with
    SQLSTATE 25006 where no `read_only` asked for that. Transactions of `reading` are
    READ ONLY wherever they are, but autocommit is what its server makes of it; its
    connections are opened anew after 300 seconds (`pool_recycle`), so that they
    find a standby that is back.

    Raises what `create_engine` does, `ArgumentError` for what cannot be given
    to two engines, and `InvalidRequestError` for another database than PostgreSQL.
    Source: https://www.postgresql.org/docs/current/libpq-connect.html,
    `target_session_attrs`.
    """
    plan = plan_engines(url, "sync", arguments)
    primary = create_engine(plan.url, **cast("dict[str, Any]", plan.primary))
    reading = create_engine(plan.url, **cast("dict[str, Any]", plan.reading))
    follow_promotion(primary)
    return Engines(primary, reading)


def wal_position(engine: Engine) -> str:
    """Return how far the primary's log reaches, with all that is committed by now.

    Ask after the commit, of the engine that wrote, and give the answer to
    `wait_for_position` where it is read: a text such as '0/3000148', which may
    travel in a cookie. A transaction that was committed with SET LOCAL
    synchronous_commit=off may be missing from it. A standby refuses with SQLSTATE
    55000. Source: https://www.postgresql.org/docs/current/functions-admin.html.
    """
    require_postgresql("wal_position()", engine.dialect.name)
    with read(engine) as connection:
        return cast("str", connection.scalar(POSITION))


def wait_for_position(
    connection: Connection, position: str, *, within: float = 1.0
) -> None:
    """Wait until a connection's server shows all that is committed up to a position.

    The next statement of this connection sees it; another connection may be on
    another standby. A server that is no standby is not waited for. The standby is
    asked again after pauses of 1 ms at first and 100 ms at last.

    Raises `StandbyBehindError`, a `TimeoutError`, after `within` seconds, and
    `InvalidRequestError` in a transaction whose snapshot stays what it is.
    """
    waiting = Waiting(connection, position, within)
    while True:
        pause = waiting.pause(connection.execute(waiting.look).one())
        if pause is None:
            return
        time.sleep(pause)

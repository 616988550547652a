"""Layer 1: an engine, with what each database needs to keep its transactions."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import sqlalchemy.ext.asyncio
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from async_layers._finish import finish
from async_layers._layers.engine import adopt
from async_layers._layers.holding.warning import warn_of_holding
from async_layers._options import engine_arguments, require_seconds
from async_layers._postgresql import DEFAULTS as POSTGRESQL
from async_layers._postgresql import PostgreSQLOptions
from async_layers._sqlite import DEFAULTS as SQLITE
from async_layers._sqlite import SQLiteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from sqlalchemy import URL

    from async_layers._pooler import Pooler


def create_async_engine(  # noqa: PLR0913 - what an engine can be given
    url: str | URL,
    *,
    application_name: str | None = None,
    connect_timeout: float | None = None,
    sqlite: SQLiteOptions = SQLITE,
    postgresql: PostgreSQLOptions = POSTGRESQL,
    pooler: Pooler | None = None,
    hold_warning: float | None = None,
    **arguments: object,
) -> AsyncEngine:
    """Open an engine whose transactions are right on its database.

    A URL without a driver gets the right one; a driver of the other world is
    refused with the name of its partner. `application_name` and
    `connect_timeout` (seconds) reach PostgreSQL, MySQL, MariaDB and Oracle;
    `sqlite` says what SQLite is told, `postgresql` what is refused there.
    SQLAlchemy's own arguments pass through and win.

    `pooler="pgbouncer"` is for transaction pooling: nothing is prepared under a
    name, and what PgBouncer does not hand on is refused. What a session keeps
    there is nobody's: SET (but SET LOCAL), LISTEN, advisory locks of a session,
    temporary tables and cursors WITH HOLD need an engine without the pooler.

    The pool's TimeoutError lists who holds its connections. With `hold_warning`
    (seconds) the logger `async_layers.pool` names whoever held one for so long.

    Raises `ArgumentError` or `InvalidRequestError` for what is refused, and
    `ModuleNotFoundError` for a missing driver, with the extra to install.
    Source: https://docs.sqlalchemy.org/en/21/core/engines.html.
    """
    url, known = engine_arguments(
        url,
        "async",
        application_name,
        connect_timeout,
        (sqlite, postgresql),
        arguments,
        pooler,
    )
    engine = sqlalchemy.ext.asyncio.create_async_engine(
        url, **cast("dict[str, Any]", known)
    )
    return warn_of_holding(adopt(engine), hold_warning)


@asynccontextmanager
async def async_engine_scope(
    url_or_engine: str | URL | AsyncEngine,
    *,
    wait: float | None = None,
    **arguments: object,
) -> AsyncIterator[AsyncEngine]:
    """Lend an engine and dispose of it on every way out.

    A URL is opened with `create_async_engine` and its arguments. With `wait`, the
    block begins when the server answers; after that many seconds without an
    answer the last error travels on. A server that takes a connection and
    says nothing is waited for as long as the driver does: `connect_timeout`,
    for a URL as long as `wait` if it is not given.
    """
    if wait is not None:
        require_seconds("wait", wait, or_none=True)
    if wait and not isinstance(url_or_engine, AsyncEngine):
        arguments = {"connect_timeout": wait} | arguments
    engine = _opened(url_or_engine, arguments)
    try:
        if wait is not None:
            await _wait_for_server(engine, wait)
        yield engine
    finally:
        await finish(engine.dispose())


def _opened(
    url_or_engine: str | URL | AsyncEngine, arguments: dict[str, object]
) -> AsyncEngine:
    if isinstance(url_or_engine, AsyncEngine):
        if arguments:
            raise ArgumentError(
                f"{', '.join(arguments)} is refused: seen beside an engine, which is "
                "open already; write a URL, or give it to create_async_engine()."
            )
        return url_or_engine
    return create_async_engine(url_or_engine, **cast("dict[str, Any]", arguments))


async def _wait_for_server(engine: AsyncEngine, seconds: float) -> None:
    """Connect until it succeeds; pause for longer each time, up to a second."""
    end = time.monotonic() + seconds
    pause = 0.02
    while True:
        try:
            async with engine.connect():
                return
        except (DBAPIError, OSError):
            if time.monotonic() + pause > end:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, 1.0)

"""Ask a server to stop what it does for a connection, and no more.

Each way is bounded. A server that is asked too late has nothing to stop: the request
is over before the connection is used again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.util.concurrency import await_, greenlet_spawn, in_greenlet

from async_layers._finish import finish
from async_layers._layers.deadline.cut import driver_connection_of
from async_layers._wire import driver_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sqlalchemy import Connection, Pool
    from sqlalchemy.pool import ConnectionPoolEntry, ManagesConnection

# Seconds for asking; a server that cannot be asked is cut off soon after.
BOUND = 0.4


def stop(connection: ManagesConnection) -> bool:
    """Ask from another thread than the one that waits; say whether it was heard."""
    driver = driver_connection_of(connection)
    ask = _BLOCKING.get(driver_of(driver))
    if driver is None or ask is None:
        return False
    try:
        ask(driver)
    except Exception:  # noqa: BLE001 - whoever cannot be asked is cut off
        return False
    return True


def _psycopg(driver: Any) -> None:  # noqa: ANN401 - psycopg's
    _require_cancel_safe()
    driver.cancel_safe(timeout=BOUND)


def _require_cancel_safe() -> None:
    """Refuse a libpq before 17, whose request cannot be bounded."""
    from psycopg import capabilities  # noqa: PLC0415 - an optional driver

    capabilities.has_cancel_safe(check=True)


def _pymysql(driver: Any) -> None:  # noqa: ANN401 - PyMySQL's
    """Ask by a connection like this one."""
    beside = type(driver)(
        host=driver.host,
        port=driver.port,
        user=driver.user,
        password=driver.password,
        unix_socket=driver.unix_socket,
        ssl=driver.ctx if getattr(driver, "_ssl_required", driver.ssl) else None,
        ssl_disabled=not driver.ssl,
        connect_timeout=BOUND / 2,
        read_timeout=BOUND / 2,
        write_timeout=BOUND / 2,
    )
    try:
        beside.query(_kill(driver))
    finally:
        beside.close()


def _kill(driver: Any) -> str:  # noqa: ANN401 - PyMySQL's, aiomysql's, asyncmy's
    return f"KILL QUERY {driver.thread_id():d}"


_BLOCKING: dict[str, Callable[[Any], object]] = {
    "psycopg": _psycopg,
    "pymysql": _pymysql,
    "oracledb": lambda driver: driver.cancel(),
}


def interrupt(connection: ManagesConnection | None) -> None:
    """Interrupt a statement of SQLite, in either world; there is nobody to be asked."""
    if connection is None:
        return
    driver = driver_connection_of(connection)
    with suppress(Exception):  # it is closed by now
        getattr(driver, "_conn", driver).interrupt()


async def stop_async(connection: ManagesConnection, pool: Pool) -> bool:
    """Ask while a task waits; say whether it was heard."""
    driver = driver_connection_of(connection)
    ask = _ASYNCIO.get(driver_of(driver))
    if driver is None or ask is None:
        return False
    try:
        async with asyncio.timeout(BOUND):
            await ask(driver, pool)
    except Exception:  # noqa: BLE001 - whoever cannot be asked is cut off
        return False
    return True


def stop_cancelled(connection: Connection) -> None:
    """Have MySQL stop what a cancelled task has left running there.

    The drivers of other databases see to it; these close their socket, and the server
    goes on, with its locks, until it wants to answer.
    """
    if connection.dialect.driver not in _FORGETFUL:
        return
    if not connection.closed and not connection.invalidated and in_greenlet():
        # Who is cancelled again is cancelled already: that one travels on.
        with suppress(asyncio.CancelledError):
            pool = connection.engine.pool
            await_(finish(stop_async(connection.connection, pool)))


_FORGETFUL = frozenset({"asyncmy", "aiomysql"})


async def _asyncpg(driver: Any, pool: Pool) -> None:  # noqa: ANN401 - asyncpg's
    """Send the request that asyncpg sends for a task that is cancelled."""
    del pool
    utils: Any = import_module("asyncpg.connect_utils")
    protocol = driver._protocol  # noqa: SLF001 - no public name
    with suppress(ConnectionResetError):  # some servers answer so
        await utils._cancel(  # noqa: SLF001 - no public name
            loop=asyncio.get_running_loop(),
            addr=driver._addr,  # noqa: SLF001
            params=driver._params,  # noqa: SLF001
            backend_pid=protocol.backend_pid,
            backend_secret=protocol.backend_secret,
        )


async def _psycopg_async(driver: Any, pool: Pool) -> None:  # noqa: ANN401 - psycopg's
    del pool
    _require_cancel_safe()
    await driver.cancel_safe(timeout=BOUND)


async def _mysql(driver: Any, pool: Pool) -> None:  # noqa: ANN401 - aiomysql's, asyncmy's
    """Ask by a connection of the engine's own creator."""
    await greenlet_spawn(_ask_beside, pool, _kill(driver))


def _ask_beside(pool: Pool, statement: str) -> None:
    beside: Any = pool._invoke_creator(cast("ConnectionPoolEntry", None))  # noqa: SLF001
    try:
        cursor = beside.cursor()
        cursor.execute(statement)
        cursor.close()
    finally:
        beside.terminate()


_ASYNCIO: dict[str, Callable[[Any, Pool], Coroutine[Any, Any, object]]] = {
    "asyncpg": _asyncpg,
    "psycopg": _psycopg_async,
    "asyncmy": _mysql,
    "aiomysql": _mysql,
}

"""Have whoever waits for a server wait no longer."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from async_layers._wire import driver_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.pool import ManagesConnection


def cut(connection: ManagesConnection) -> None:
    """End the link to the server from this side, from any thread, without waiting.

    Who waits for an answer gets an error of its driver at once. A statement of SQLite
    is interrupted: there is no link.
    """
    adapter: Any = connection.dbapi_connection
    if hasattr(adapter, "cut"):  # our own of aiosqlite
        adapter.cut()
        return
    driver = driver_connection_of(connection)
    _CUTS.get(driver_of(driver), _nothing)(driver)


def driver_connection_of(connection: ManagesConnection) -> Any:  # noqa: ANN401 - a driver's
    """Return the driver's connection, also of one that is detached from its pool."""
    found: Any = connection.driver_connection
    if found is None:
        dbapi: Any = connection.dbapi_connection
        found = getattr(dbapi, "driver_connection", dbapi)
    return found


def _nothing(driver: Any) -> None:  # noqa: ANN401 - of another driver
    """Leave a driver alone of which nothing is known."""


def _psycopg(driver: Any) -> None:  # noqa: ANN401 - psycopg's
    try:
        number = os.dup(driver.fileno())
    except Exception:  # noqa: BLE001 - who waited has closed it meanwhile
        return
    with socket.socket(fileno=number) as link:
        # What is closed now may have been somebody else's before it was copied.
        if not driver.closed:
            _shut(link)


def _shut(link: socket.socket) -> None:
    """Shut a socket; the driver, who owns it, sees its end."""
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself


def _pymysql(driver: Any) -> None:  # noqa: ANN401 - PyMySQL's
    link = driver._sock  # noqa: SLF001 - no public name
    if link is not None:
        _shut(link)


def _aiomysql(driver: Any) -> None:  # noqa: ANN401 - aiomysql's
    if driver._writer is not None:  # noqa: SLF001 - no public name
        driver._writer.transport.abort()  # noqa: SLF001


def _asyncmy(driver: Any) -> None:  # noqa: ANN401 - asyncmy's
    if driver._transport is not None:  # noqa: SLF001 - no public name
        driver._transport.abort()  # noqa: SLF001


_CUTS: dict[str, Callable[[Any], object]] = {
    "asyncpg": lambda driver: driver.terminate(),
    "psycopg": _psycopg,
    "pymysql": _pymysql,
    "aiomysql": _aiomysql,
    "asyncmy": _asyncmy,
    "oracledb": lambda driver: driver.cancel(),
    "sqlite3": lambda driver: driver.interrupt(),
    "aiosqlite": lambda driver: driver._conn.interrupt(),  # noqa: SLF001
}

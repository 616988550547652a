"""The drivers of both worlds that the load is run with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from async_layers import (
    create_async_engine,
    create_async_engines,
    create_engine,
    create_engines,
)

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


class Driver(NamedTuple):
    """A driver: what it is called, and what its URL begins with.

    One that `forgets` leaves a connection to the garbage collector whose task was
    cancelled while it was made.
    """

    name: str
    drivername: str
    blocking: bool = False
    forgets: bool = False

    @property
    def database(self) -> str:
        """Return the name of its database."""
        return self.drivername.partition("+")[0]


DRIVERS: Final = {
    one.name: one
    for one in (
        Driver("psycopg", "postgresql", blocking=True),
        Driver("asyncpg", "postgresql"),
        Driver("psycopg_async", "postgresql+psycopg", forgets=True),
        Driver("pymysql", "mysql+pymysql", blocking=True),
        Driver("asyncmy", "mysql+asyncmy"),
        Driver("aiomysql", "mysql+aiomysql"),
    )
}
POSTGRESQL: Final = [n for n, one in DRIVERS.items() if one.database == "postgresql"]
MYSQL: Final = [n for n, one in DRIVERS.items() if one.database == "mysql"]
ASYNCIO: Final = [n for n, one in DRIVERS.items() if not one.blocking]

CONNECTING: Final = 2.0  # seconds, that a connection may take to be made


def open_engine(
    driver: Driver, url: URL, name: str, workers: int, *, several: bool
) -> Engine:
    """Open a blocking engine, with a connection for each worker, and one more.

    `several`: the URL is of a primary and its standby; the engine is that which writes.
    """
    named, arguments = url.set(drivername=driver.drivername), _arguments(name, workers)
    if driver.name == "pymysql":
        # It reads all certificates of the system for each connection: 50 ms.
        arguments["connect_args"] = {"ssl_disabled": True}
    if several:
        return create_engines(named, **arguments).primary
    return create_engine(named, **arguments)


def open_async_engine(
    driver: Driver, url: URL, name: str, workers: int, *, several: bool
) -> AsyncEngine:
    """Open an asyncio engine, with a connection for each worker, and one more.

    `several`: the URL is of a primary and its standby; the engine is that which writes.
    """
    named, arguments = url.set(drivername=driver.drivername), _arguments(name, workers)
    if several:
        return create_async_engines(named, **arguments).primary
    return create_async_engine(named, **arguments)


def _arguments(name: str, workers: int) -> dict[str, Any]:
    return {
        "application_name": name,
        "connect_timeout": CONNECTING,
        "pool_size": workers,
        "max_overflow": 1,
        "pool_timeout": 5,
    }

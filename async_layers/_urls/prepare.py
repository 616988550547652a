"""Prepare a database URL for its world, blocking or asyncio.

Nothing here does I/O or imports a driver: a URL goes in, the URL and the
connect arguments that mean the same to the driver of that world come out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeAlias

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError

from async_layers._urls.libpq import to_asyncpg, to_libpq
from async_layers._urls.mysql import to_mysql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Dialect

World: TypeAlias = Literal["sync", "async"]

_OWN = "sqlite+async_layers"
_OWN_POSTGRESQL = "postgresql+async_layers"
# What a URL without a driver gets, and what the other world's driver is
# told to write instead.  The databases that SQLAlchemy itself speaks.
_DRIVERS: Mapping[str, Mapping[World, str]] = {
    "sqlite": {"sync": _OWN, "async": _OWN},
    "postgresql": {"sync": _OWN_POSTGRESQL, "async": _OWN_POSTGRESQL},
    "mysql": {"sync": "mysql+pymysql", "async": "mysql+asyncmy"},
    "mariadb": {"sync": "mariadb+pymysql", "async": "mariadb+asyncmy"},
    "oracle": {"sync": "oracle+oracledb", "async": "oracle+oracledb"},
    "mssql": {"sync": "mssql+pyodbc", "async": "mssql+aioodbc"},
}

# The module that a driver needs, and what pip is to install for it.
_PACKAGES: Mapping[str, tuple[str, str]] = {
    "aiosqlite": ("aiosqlite", "aiosqlite"),
    "asyncpg": ("asyncpg", "asyncpg"),
    "psycopg": ("psycopg", "async-layers[psycopg]"),
    "psycopg2": ("psycopg2", "psycopg2"),
    "psycopg2cffi": ("psycopg2cffi", "psycopg2cffi"),
    "pg8000": ("pg8000", "pg8000"),
    "pymysql": ("pymysql", "async-layers[mysql]"),
    "asyncmy": ("asyncmy", "async-layers[mysql]"),
    "aiomysql": ("aiomysql", "aiomysql"),
    "mysqldb": ("MySQLdb", "mysqlclient"),
    "mysqlconnector": ("mysql", "mysql-connector-python"),
    "mariadbconnector": ("mariadb", "mariadb"),
    "oracledb": ("oracledb", "async-layers[oracle]"),
    "cx_oracle": ("cx_Oracle", "cx_Oracle"),
    "pyodbc": ("pyodbc", "pyodbc"),
    "aioodbc": ("aioodbc", "aioodbc"),
    "pymssql": ("pymssql", "pymssql"),
}


@dataclass(frozen=True)
class Prepared:
    """Hold what an engine of one world is created from.

    ``connect_args`` are left out of the representation: they may hold the
    password of a key file.  ``driver`` is the package that will connect, which
    the URL of a dialect of ours does not name.
    """

    url: URL
    connect_args: Mapping[str, object] = field(repr=False)
    driver: str


def prepare_url(url: str | URL, world: World) -> Prepared:
    """Return the URL and the connect arguments for a world's driver.

    A URL without a driver gets the world's own.  Query keys that the driver
    spells differently are translated, never to a weaker verification; what
    it cannot do is refused.  Preparing a prepared URL leaves it as it is.

    Raises ``ArgumentError`` for a URL that cannot be read or translated,
    ``NoSuchModuleError`` for a database that SQLAlchemy does not know,
    ``InvalidRequestError`` for a driver of the other world and
    ``ModuleNotFoundError`` for a driver that is not installed.
    """
    named = _with_driver(_parse(url), world)
    if named.drivername == _OWN:
        # It has a dialect in each world; the engine loads it.
        if world == "async":
            _require_package(named, "aiosqlite")
        return Prepared(named, {}, "aiosqlite" if world == "async" else "sqlite3")
    dialect = _dialect(named, world)
    _refuse_other_world(named, dialect, world)
    _require_package(named, dialect.driver)
    match dialect.driver:
        case "asyncpg":
            return Prepared(*to_asyncpg(named), dialect.driver)
        case "psycopg" | "psycopg2" | "psycopg2cffi":
            return Prepared(to_libpq(named), {}, dialect.driver)
        case "pymysql" | "asyncmy" | "aiomysql" as driver:
            return Prepared(to_mysql(named, driver), {}, driver)
        case _:
            return Prepared(named, {}, dialect.driver)


def _parse(url: str | URL) -> URL:
    # The text never appears in a message: it may hold a password, and a
    # text that is no URL does not say where.
    if isinstance(url, URL):
        return url
    try:
        return make_url(url)
    except ArgumentError:
        raise ArgumentError(
            f"{_describe(url)} is not a database URL; "
            "write database://user:password@host:port/name, "
            "such as 'postgresql://localhost/app' or 'sqlite:///app.db'."
        ) from None
    except ValueError:
        raise ArgumentError(
            f"{_describe(url)} has a port that is not a number; write one "
            "host:port, and quote the special characters of a password "
            "with urllib.parse.quote_plus (hosts: '?host=a:5432&host=b:5432')."
        ) from None


def _describe(url: object) -> str:
    if not isinstance(url, str):
        return f"An object of type {type(url).__name__!r}"
    if not url.strip():
        return "An empty text"
    scheme, separator, _ = url.partition("://")
    if separator and scheme.replace("+", "").replace("-", "").isalnum():
        return f"The text after '{scheme}://'"
    return "A text without 'database://'"


def _with_driver(url: URL, world: World) -> URL:
    database, plus, driver = url.drivername.partition("+")
    # libpq, and many hosts of databases, accept the short spelling.
    database = "postgresql" if database == "postgres" else database
    if plus or database not in _DRIVERS:
        return url.set(drivername=f"{database}{plus}{driver}")
    return url.set(drivername=_DRIVERS[database][world])


def _dialect(url: URL, world: World) -> type[Dialect]:
    try:
        dialect = url.get_dialect()
    except NoSuchModuleError:
        raise NoSuchModuleError(
            f"{url.drivername!r} is not a database and driver that SQLAlchemy "
            f"finds; write one of {', '.join(_DRIVERS)}, "
            "or install the package of its dialect."
        ) from None
    return dialect.get_async_dialect_cls(url) if world == "async" else dialect


def _refuse_other_world(url: URL, dialect: type[Dialect], world: World) -> None:
    if dialect.is_async == (world == "async"):
        return
    drivers = _DRIVERS.get(url.get_backend_name())
    partner = repr(drivers[world]) if drivers else "the driver of this world"
    if world == "async":
        raise InvalidRequestError(
            f"{url.drivername!r} blocks the event loop; write {partner}, "
            "or use create_engine() in blocking code."
        )
    raise InvalidRequestError(
        f"{url.drivername!r} needs an event loop; write {partner}, "
        "or use create_async_engine() in asyncio code."
    )


def _require_package(url: URL, driver: str) -> None:
    module, requirement = _PACKAGES.get(driver, (None, ""))
    if module is None or find_spec(module) is not None:
        return
    raise ModuleNotFoundError(
        f"{url.drivername!r} needs the module {module!r}, which is not "
        f"installed; run pip install '{requirement}'.",
        name=module,
    )

"""Errors as a test compares them, backends that end, and the silence afterwards."""

from __future__ import annotations

import asyncio
import gc
import logging
import select
import struct
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from tests.postgresql._dialects import ASYNCPG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import psycopg
    from sqlalchemy import CursorResult, Engine

BOUND: Final = 10.0  # seconds, within which what must happen has happened


class Seen(NamedTuple):
    """Say what a caller sees of an error: SQLAlchemy's class is named after PEP 249's.

    `invalidated` is whether the connection was given up.
    """

    kind: str
    sqlstate: str | None
    invalidated: bool = False


def seen(error: DBAPIError) -> Seen:
    """Return what a caller sees of an error."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    return Seen(type(error).__name__, state, error.connection_invalidated)


def raised(act: Callable[..., object], *arguments: object) -> DBAPIError:
    """Return SQLAlchemy's error that a call raises; nothing else will do."""
    try:
        act(*arguments)
    except DBAPIError as error:
        return error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, Warning) as error:
        pytest.fail(f"{error!r} is not wrapped")
    pytest.fail("nothing is raised")


def failure(act: Callable[..., object], *arguments: object) -> Seen:
    """Return what a caller sees of the error that a call raises."""
    return seen(raised(act, *arguments))


# --- streams

NUMBERS: Final = "SELECT n FROM generate_series(1, 1000) AS n"

# psycopg does not close a cursor of a connection that is lost, and then complains.
lost_cursors = pytest.mark.filterwarnings(
    "ignore:.*ServerCursor.* was deleted while still open:ResourceWarning"
)


def stream(connection: Connection, statement: str) -> CursorResult[Any]:
    """Run a statement whose rows stay on the server until they are fetched."""
    options = {"stream_results": True, "max_row_buffer": 10}
    return connection.execute(text(statement), execution_options=options)


def portals(connection: Connection) -> int:
    """Return how many streams the server holds open for a connection."""
    asked = "SELECT count(*) FROM pg_cursors WHERE statement LIKE '%generate_series%'"
    number: int = connection.scalar(text(asked + " AND name <> ''"))
    return number


# --- backends


def driver_of(connection: Connection) -> Any:
    """Return the driver's connection, which outlives its stay outside the pool."""
    return connection.connection.driver_connection


def backend(one: Connection | Any) -> int:
    """Return the process of the server that serves a connection, or a driver's."""
    driver = driver_of(one) if isinstance(one, Connection) else one
    found: int = (
        driver.get_server_pid() if is_asyncpg(driver) else driver.info.backend_pid
    )
    return found


def is_asyncpg(driver: object) -> bool:
    """Say whether a driver's connection is asyncpg's."""
    return isinstance(driver, asyncpg.Connection)


def end_backend(observer: psycopg.Connection[Any], one: Connection | Any) -> None:
    """End the server's process of a connection, or a driver's, and see it gone.

    The connection is asked for nothing: an event loop has not seen it end. Its socket
    is at its end, though: the process leaves the server's list before it closes that.
    """
    end_process(observer, backend(one))
    wait_for_hang_up(one)


def end_process(observer: psycopg.Connection[Any], number: int) -> None:
    """End a process of the server, and wait until it is gone from its list."""
    observer.execute("SELECT pg_terminate_backend(%s)", (number,))
    wait_for_end(observer, number)


def wait_for_end(observer: psycopg.Connection[Any], number: int) -> None:
    """Return when a process of the server is gone."""
    end = time.monotonic() + BOUND
    asked = "SELECT FROM pg_stat_activity WHERE pid = %s"
    while observer.execute(asked, (number,)).fetchone() is not None:
        assert time.monotonic() < end


def wait_for_hang_up(one: Connection | Any) -> None:
    """Return when the server's side of a connection, or a driver's, is closed."""
    driver = driver_of(one) if isinstance(one, Connection) else one
    socket = (
        driver._transport.get_extra_info("socket")
        if is_asyncpg(driver)
        else driver.fileno()
    )
    poll = select.poll()
    poll.register(socket, getattr(select, "POLLRDHUP", select.POLLHUP))
    assert poll.poll(BOUND * 1000)


def notice(connection: Connection) -> None:
    """Let an event loop see that the connection of its driver has ended."""
    driver: Any = connection.connection.driver_connection
    if is_asyncpg(driver):
        ended = asyncio.Event()

        def end(_: object) -> None:
            ended.set()

        driver.add_termination_listener(end)
        await_only(asyncio.wait_for(ended.wait(), BOUND))


def overlook(connection: Connection) -> None:
    """Let an event loop see nothing: it may be running elsewhere."""


def connect(engine: Engine) -> object:
    """Open a connection and use it."""
    with engine.connect() as connection:
        return connection.scalar(text("SELECT 1"))


def hear(connection: Connection, words: bytes) -> None:
    """Let asyncpg hear what the server has not said."""
    driver: Any = connection.connection.driver_connection
    driver._transport.get_protocol().data_received(words)


def last_words(sqlstate: str, message: str) -> bytes:
    """Return the message by which a server ends a connection, or refuses one."""
    fields = f"SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0".encode()
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


def counts(engine: Engine) -> tuple[int, int]:
    """Return how many connections wait in the pool, and how many are lent."""
    pool: Any = engine.pool
    return pool.checkedin(), pool.checkedout()


# --- silence


@pytest.fixture(scope="module")
def frozen() -> None:
    """Keep what is there before a module's tests out of their garbage, for good."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def quiet(frozen: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves an event loop or a pool something to complain about."""
    del frozen
    records = list[str]()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{record.name}: {record.getMessage()}")

    handler = Heard(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("asyncio", "sqlalchemy.pool")]
    for logger in loggers:
        logger.addHandler(handler)
    yield
    gc.collect()
    for logger in loggers:
        logger.removeHandler(handler)
    spec: Any = getattr(request.node, "callspec", None)
    if spec is None or spec.params.get("driver") != ASYNCPG:
        assert [] == records

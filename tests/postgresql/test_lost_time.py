"""Time that is over: the server's, asyncpg's, and that of a caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from sqlalchemy import text

from async_layers.drivers._postgresql.adapter import AsyncAdaptPostgreSQLConnection
from tests.postgresql import _faults
from tests.postgresql._dialects import ASYNCIO, ASYNCPG, on, open_side, wrong_on
from tests.postgresql._faults import (
    Seen,
    backend,
    connect,
    counts,
    failure,
    wait_for_end,
    wait_for_hang_up,
)
from tests.postgresql._servers import through

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

UNSAID = "the server's last words are not told: 08003, or an InterfaceError"
BARE = "a TimeoutError is not wrapped"

LOST = Seen("OperationalError", None, invalidated=True)
LATE = Seen("OperationalError", None)


@wrong_on(ASYNCPG, UNSAID)
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (
            "idle_in_transaction_session_timeout",
            Seen("InternalError", "25P03", invalidated=True),
        ),
        ("idle_session_timeout", Seen("OperationalError", "57P05", invalidated=True)),
    ],
)
def test_a_timeout_that_ends_a_backend_has_its_class(
    own_side: Side, observer: psycopg.Connection[Any], setting: str, expected: Seen
) -> None:
    """What the server said when it ended the connection is the error's class."""

    def body(connection: Connection) -> Seen:
        connection.execute(text(f"SET {setting} = '20ms'"))
        number = backend(connection)
        if setting == "idle_session_timeout":
            connection.commit()
        wait_for_end(observer, number)
        wait_for_hang_up(connection)
        return failure(connection.execute, text("SELECT 1"))

    assert expected == own_side.run(body)


@wrong_on(ASYNCPG, "57014 has no class of its own")
def test_a_statement_that_takes_too_long_keeps_its_connection(side: Side) -> None:
    """statement_timeout is 57014; the transaction has failed, and no more."""

    def body(connection: Connection) -> object:
        number = backend(connection)
        connection.execute(text("SET LOCAL statement_timeout = '20ms'"))
        found = failure(connection.execute, text("SELECT pg_sleep(5)"))
        connection.rollback()
        connection.execute(text("SELECT 1"))
        return found, number == backend(connection)

    assert (Seen("OperationalError", "57014"), True) == side.run(body)


@wrong_on(ASYNCPG, BARE, among=ASYNCIO)
def test_a_statement_that_asyncpg_gives_up_is_an_operational_error(
    driver: str, postgresql_url: str
) -> None:
    """command_timeout cancels the statement, and the rollback goes on from there."""

    def body(connection: Connection) -> object:
        number = backend(connection)
        found = failure(connection.execute, text("SELECT pg_sleep(5)"))
        connection.rollback()
        return found, number == backend(connection)

    arguments = {"connect_args": {"command_timeout": 0.1}}
    with open_side(driver, postgresql_url, **arguments) as side:
        assert (LATE, True) == side.run(body)


@wrong_on(ASYNCPG, BARE, among=ASYNCIO)
def test_a_question_that_is_never_answered_gives_the_connection_up(
    driver: str, postgresql_url: str
) -> None:
    """Where the rollback gets no answer either, the connection is lost."""

    def body(engine: Engine) -> object:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            proxy.black_hole()
            found = [
                failure(connection.execute, text("SELECT 1")),
                failure(connection.rollback),
            ]
            proxy.heal()
        return [*found, connect(engine), counts(engine)]

    arguments = {"connect_args": {"command_timeout": 0.1}}
    with through(driver, postgresql_url, **arguments) as (proxy, side):
        assert [LATE, LOST, 1, (1, 0)] == side.on_engine(body)


async def test_an_answer_that_never_comes_is_a_timeout() -> None:
    """Nobody waits for longer than command_timeout for what was cancelled."""
    silent = Mock()
    silent._config.command_timeout = 0.01
    silent._protocol._wait_for_cancellation = lambda _: asyncio.Event().wait()
    with pytest.raises(TimeoutError):
        await AsyncAdaptPostgreSQLConnection(Mock(), silent)._cancelled()


@wrong_on(ASYNCPG, BARE, among=ASYNCIO)
@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_an_end_that_is_never_answered_gives_the_connection_up(
    driver: str, postgresql_url: str, end: str
) -> None:
    """Nobody knows what the server did: the connection does not go on."""

    def body(engine: Engine) -> object:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            proxy.black_hole()
            found = failure(getattr(connection, end))
        proxy.heal()
        return found, connect(engine), counts(engine)

    arguments = {"connect_args": {"command_timeout": 0.1}}
    with through(driver, postgresql_url, **arguments) as (proxy, side):
        assert (LOST, 1, (1, 0)) == side.on_engine(body)


@on(*ASYNCIO)
def test_a_caller_that_waits_no_longer_leaves_no_connection_behind(
    driver: str, postgresql_url: str
) -> None:
    """A cancelled statement gets its TimeoutError; the pool opens another one."""

    async def body(engine: AsyncEngine) -> object:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), engine.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(5)"))
        async with engine.connect() as connection:
            return await connection.scalar(text("SELECT 2"))

    with open_side(driver, postgresql_url) as side:
        assert 2 == side.drive(body)

"""The end of a stream: read, closed, left by an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.postgresql import _faults
from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    BLOCKING,
    on,
    wrong_on,
)
from tests.postgresql._faults import NUMBERS, Seen, failure, portals, seen, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, CursorResult
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

STAYS = "a result that is closed leaves its portal to the server"
OPEN = "a stream that an exception leaves stays open, though documented otherwise"

ROWS = text(NUMBERS)


@wrong_on(ASYNCPG, STAYS)
@pytest.mark.parametrize("end", ["close", "all", "first", "partitions"])
def test_a_stream_that_ends_is_closed_on_the_server(side: Side, end: str) -> None:
    """Closed early or read to its end, its portal is gone."""
    ends: dict[str, Callable[[CursorResult[Any]], object]] = {
        "close": lambda result: result.close(),
        "all": lambda result: result.all(),
        "first": lambda result: result.first(),
        "partitions": lambda result: [*result.partitions(100)],
    }

    def body(connection: Connection) -> list[int]:
        result = stream(connection, NUMBERS)
        before = portals(connection)
        ends[end](result)
        return [before, portals(connection)]

    assert [1, 0] == side.run(body)


def test_a_statement_runs_in_mid_stream(side: Side) -> None:
    """The rest of a stream is the same after another statement of its connection."""

    def body(connection: Connection) -> object:
        result = stream(connection, NUMBERS)
        head = result.fetchmany(20)
        between = connection.scalar(text("SELECT 2"))
        return between, [row.n for row in (*head, *result)]

    assert (2, list(range(1, 1001))) == side.run(body)


@wrong_on(ASYNCPG, "the error is asyncpg's own, and of a transaction that is missing")
@pytest.mark.parametrize("end", ["rollback", "commit", "close"])
def test_a_stream_ends_with_its_transaction(side: Side, end: str) -> None:
    """Afterwards the server knows nothing of its rows: 34000.

    psycopg has none of them; under asyncio those that are here already are read.
    """
    expected = [] if side.driver in BLOCKING else list(range(2, 47))

    def body(connection: Connection) -> tuple[list[int], Seen]:
        result = stream(connection, NUMBERS)
        result.fetchone()
        getattr(connection, end)()
        rows = list[int]()

        def read() -> None:
            rows.extend(row.n for row in result)

        found = failure(read)
        return rows, found

    assert (expected, Seen("ProgrammingError", "34000")) == side.run(body)


# --- left by an exception


@wrong_on(ASYNCPG, OPEN, among=ASYNCIO)
def test_a_stream_that_an_exception_leaves_is_closed(side: Side) -> None:
    """`async with connection.stream()` closes the result and its portal."""

    async def body(engine: AsyncEngine) -> object:
        async with engine.connect() as connection:
            kept: list[Any] = []
            with pytest.raises(ZeroDivisionError):
                async with connection.stream(ROWS) as result:
                    kept.append(result)
                    await result.fetchone()
                    raise ZeroDivisionError
            return kept[0].closed, await connection.run_sync(portals)

    assert (True, 0) == side.drive(body)


@wrong_on(ASYNCPG, OPEN, among=ASYNCIO)
def test_a_stream_of_scalars_that_an_exception_leaves_is_closed(side: Side) -> None:
    """`async with connection.stream_scalars()` does the same."""

    async def body(engine: AsyncEngine) -> object:
        async with engine.connect() as connection:
            kept: list[Any] = []
            with pytest.raises(ZeroDivisionError):
                async with connection.stream_scalars(ROWS) as result:
                    kept.append(result)
                    await result.fetchmany(3)
                    raise ZeroDivisionError
            return kept[0].closed, await connection.run_sync(portals)

    assert (True, 0) == side.drive(body)


@wrong_on(ASYNCPG, STAYS, among=ASYNCIO)
def test_a_stream_that_is_left_early_is_closed(side: Side) -> None:
    """A loop that is broken off, and a block that ends well, close it too."""

    async def body(engine: AsyncEngine) -> object:
        async with engine.connect() as connection:
            async with connection.stream(ROWS) as result:
                async for _ in result:
                    break
            return result.closed, await connection.run_sync(portals)

    assert (True, 0) == side.drive(body)


@wrong_on(ASYNCPG, STAYS, among=ASYNCIO)
def test_a_stream_without_a_block_is_closed_by_hand(side: Side) -> None:
    """`await connection.stream()` leaves the end to its caller."""

    async def body(engine: AsyncEngine) -> object:
        async with engine.connect() as connection:
            result = await connection.stream(ROWS)
            await result.fetchone()
            before = await connection.run_sync(portals)
            await result.close()
            return before, await connection.run_sync(portals)

    assert (1, 0) == side.drive(body)


@wrong_on(ASYNCPG, "an error of a stream is asyncpg's own", among=ASYNCIO)
def test_an_error_of_the_stream_itself_leaves_its_block(side: Side) -> None:
    """What a row raises travels out of the block; the rollback frees the connection."""
    fails = text("SELECT 1 / (500 - n) FROM generate_series(1, 1000) AS n")

    async def read(connection: AsyncConnection) -> None:
        async with connection.stream(fails) as result:
            async for _ in result:
                pass

    async def body(engine: AsyncEngine) -> object:
        async with engine.connect() as connection:
            found = None
            try:
                await read(connection)
            except DBAPIError as error:
                found = seen(error)
            await connection.rollback()
            return found, await connection.scalar(text("SELECT 2"))

    assert (Seen("DataError", "22012"), 2) == side.drive(body)


@wrong_on(ASYNCPG, STAYS, among=ASYNCIO)
def test_a_session_streams_and_closes(side: Side) -> None:
    """`await session.stream()` is closed like a connection's."""

    async def body(engine: AsyncEngine) -> object:
        async with AsyncSession(engine) as session:
            result = await session.stream(ROWS)
            first = await result.fetchone()
            await result.close()
            connection = await session.connection()
            return first, await connection.run_sync(portals)

    assert ((1,), 0) == side.drive(body)


@on(*ASYNCIO)
def test_scalars_of_a_stream_can_be_awaited(side: Side) -> None:
    """Awaited and not a block, their rows are there until they are closed."""

    async def work(engine: AsyncEngine) -> int:
        async with engine.connect() as connection:
            numbers = await connection.stream_scalars(ROWS)
            return sum([number async for number in numbers])

    assert 500_500 == side.drive(work)


@on(*ASYNCIO)
def test_an_engine_with_options_is_of_its_class(side: Side) -> None:
    """What leaves its streams closes them there too."""

    async def work(engine: AsyncEngine) -> bool:
        other = engine.execution_options(logging_token="other")  # noqa: S106
        return type(other) is type(engine)

    assert side.drive(work)

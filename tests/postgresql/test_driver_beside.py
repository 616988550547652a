"""What asyncpg does by itself beside SQLAlchemy: transactions, COPY, time limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.exc import InvalidRequestError, OperationalError

from async_layers import async_insert_rows
from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    OURS_ASYNC,
    on,
    open_async_engine,
    wrong_on,
)
from tests.postgresql._people import People
from tests.postgresql._tasks import SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from tests.postgresql._people import Observer

LIMIT = 0.2  # seconds that asyncpg waits for an answer
LONGER = 5  # seconds that the server would take


@pytest.fixture
async def engine(driver: str, postgresql_url: str) -> AsyncIterator[AsyncEngine]:
    """Return an engine whose driver gives a statement up after a moment."""
    opened = open_async_engine(
        driver, postgresql_url, connect_args={"command_timeout": LIMIT}
    )
    yield opened
    await opened.dispose()


@pytest.fixture
def people(observer: Observer, schema: str) -> People:
    """Return a table of three people."""
    people = People(observer, schema)
    people.add(3)
    return people


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


@on(*ASYNCIO)
async def test_driver_transaction_is_a_savepoint_of_ours(
    engine: AsyncEngine, people: People
) -> None:
    """`driver_connection.transaction()` joins the transaction that is open."""
    async with engine.begin() as connection:
        await connection.execute(people.insert("carl"))
        driver = await _driver(connection)
        with pytest.raises(ZeroDivisionError):
            async with driver.transaction():
                await driver.execute(f"DELETE FROM {people.schema}.person")  # noqa: S608
                raise ZeroDivisionError
    assert ["anna", "anna", "anna", "carl"] == people.names()


@on(*ASYNCIO)
async def test_driver_transaction_is_its_own_after_a_commit(
    engine: AsyncEngine, people: People
) -> None:
    """When ours is over, `driver_connection.transaction()` begins and commits one."""
    async with engine.connect() as connection:
        await connection.execute(select(literal(1)))
        await connection.commit()
        driver = await _driver(connection)
        async with driver.transaction():
            await driver.execute(f"DELETE FROM {people.schema}.person")  # noqa: S608
        assert [] == people.names()


@on(*ASYNCIO)
async def test_statement_waits_for_a_load(
    driver: str, postgresql_url: str, people: People
) -> None:
    """A task that executes while another one copies rows gets its turn."""
    loading = asyncio.Event()

    def rows() -> Iterator[Mapping[str, object]]:
        for number in range(10, 4010):
            loading.set()
            yield {"id": number, "name": "x"}

    opened = open_async_engine(driver, postgresql_url)
    async with opened.begin() as connection, asyncio.timeout(SECONDS):
        load = asyncio.create_task(async_insert_rows(connection, people.table, rows()))
        await loading.wait()
        found = await connection.scalar(select(literal(7)))
        assert (4000, 7) == (await load, found)
    await opened.dispose()


@on(OURS_ASYNC)
async def test_load_whose_transaction_another_task_has_ended_is_refused(
    engine: AsyncEngine, people: People
) -> None:
    """It would commit by itself what nobody has committed."""
    loading = asyncio.Event()

    def rows() -> Iterator[Mapping[str, object]]:
        loading.set()
        yield {"id": 10, "name": "x"}

    async with engine.connect() as connection, asyncio.timeout(SECONDS):
        await connection.execute(select(literal(1)))
        load = asyncio.create_task(async_insert_rows(connection, people.table, rows()))
        await loading.wait()
        await connection.rollback()
        with pytest.raises(InvalidRequestError, match="another task has ended"):
            await load
    assert ["anna", "anna", "anna"] == people.names()


@on(OURS_ASYNC)
async def test_rows_of_a_batch_that_timed_out_are_not_counted_later(
    engine: AsyncEngine, people: People
) -> None:
    """The rest of the answer is no answer to the batch that comes next."""
    statement = (
        f"UPDATE {people.schema}.person SET name = 'x'"  # noqa: S608 - a name of ours
        " WHERE id <= $1::int AND (SELECT pg_sleep($2::float8)) IS NOT NULL"
    )
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(OperationalError):
            await connection.exec_driver_sql(statement, [(3, 0.0), (3, 0.0), (1, 5.0)])
        found = await connection.exec_driver_sql(statement, [(1, 0.0), (2, 0.0)])
        assert 3 == found.rowcount


@wrong_on(ASYNCPG, "the transaction is an object of its own", among=ASYNCIO)
async def test_statement_after_a_commit_that_timed_out_begins_a_transaction(
    engine: AsyncEngine, people: People
) -> None:
    """The server is asked how the COMMIT ended before more is told it."""
    people.tell(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        f"'BEGIN PERFORM pg_sleep({LONGER}); RETURN NEW; END';"
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON person DEFERRABLE INITIALLY "
        "DEFERRED FOR EACH ROW WHEN (NEW.name = 'slow') EXECUTE FUNCTION slow()"
    )
    async with engine.connect() as connection:
        await connection.execute(people.insert("slow"))
        with pytest.raises(OperationalError):
            await connection.exec_driver_sql("COMMIT")
        await connection.execute(text(f"DELETE FROM {people.schema}.person"))  # noqa: S608
        await connection.rollback()
    assert ["anna", "anna", "anna"] == people.names()

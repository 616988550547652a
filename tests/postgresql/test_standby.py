"""The engines of a primary and of its standby, which are real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, select, text
from sqlalchemy.exc import InternalError

from async_layers import (
    async_engine_scope,
    async_insert_rows,
    async_read,
    async_transaction,
    create_async_engines,
    create_engines,
    engine_scope,
    insert_rows,
    read,
    transaction,
)
from tests.postgresql import _faults
from tests.postgresql._dialects import OURS, OURS_ASYNC, open_side
from tests.postgresql._faults import Seen, failure
from tests.postgresql._standby import open_both

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._standby import Both, Replicated

frozen, quiet = _faults.frozen, _faults.quiet

IS_STANDBY = select(func.pg_is_in_recovery())
REFUSED = Seen("InternalError", "25006")


@pytest.fixture(params=[OURS, OURS_ASYNC])
def driver(request: pytest.FixtureRequest) -> str:
    """Return the names of our dialects in turn."""
    named: str = request.param
    return named


@pytest.fixture
def both(driver: str, pair: Replicated) -> Iterator[Both]:
    """Return the engines of one world."""
    with open_both(driver, pair.url) as found:
        yield found


@pytest.fixture
def person(pair: Replicated) -> Iterator[str]:
    """Return the name of an empty table, of the primary and soon of the standby."""
    pair.on_primary("CREATE TABLE person (id int)")
    yield "person"
    pair.on_primary("DROP TABLE person")


def standing(both: Both) -> tuple[object, object]:
    """Say of either engine whether its server is a standby."""
    primary, reading = (
        side.run(lambda one: one.scalar(IS_STANDBY))
        for side in (both.primary, both.reading)
    )
    return primary, reading


def write(connection: Connection) -> None:
    """Write a row."""
    connection.execute(text("INSERT INTO person VALUES (1)"))
    connection.commit()


def test_reads_go_to_the_standby(both: Both) -> None:
    """And writes to the primary, from the one URL of libpq."""
    assert (False, True) == standing(both)


@pytest.mark.parametrize(
    "hosts", ["host={1}&host={0}", "host=127.0.0.1,127.0.0.1&port={3},{2}"]
)
def test_hosts_stand_in_any_order(driver: str, pair: Replicated, hosts: str) -> None:
    """What a server is decides, not where it stands; SQLAlchemy's spellings do, too."""
    ports = (pair.primary.port, pair.standby.port)
    query = hosts.format(*(f"127.0.0.1:{port}" for port in ports), *ports)
    with open_both(driver, f"postgresql://postgres@/postgres?{query}") as both:
        assert (False, True) == standing(both)


def test_where_there_is_no_standby_the_primary_is_read(
    driver: str, pair: Replicated
) -> None:
    """It answers as a standby does: it refuses to write."""

    def body(connection: Connection) -> object:
        seen = failure(connection.execute, text("CREATE TABLE never ()"))
        connection.rollback()
        return connection.scalar(IS_STANDBY), seen

    with open_both(driver, pair.primary.url) as both:
        assert (False, REFUSED) == both.reading.run(body)


def test_read_only_scopes_work_on_a_standby(driver: str, pair: Replicated) -> None:
    """A transaction, and reading in autocommit, in either world."""

    def blocking(engine: Engine) -> list[object]:
        with transaction(engine, read_only=True) as one, read(engine) as other:
            return [each.scalar(IS_STANDBY) for each in (one, other)]

    async def asyncio(engine: AsyncEngine) -> list[object]:
        async with async_transaction(engine, read_only=True) as one:
            async with async_read(engine) as other:
                return [await each.scalar(IS_STANDBY) for each in (one, other)]

    with open_both(driver, pair.url) as both:
        side = both.reading
        found = side.drive(asyncio) if side.runner else side.on_engine(blocking)
    assert [True, True] == found


def test_write_on_a_standby_is_refused(driver: str, pair: Replicated) -> None:
    """By the server, and the connection is as good as before."""
    statement = text("CREATE TABLE never ()")
    with open_side(driver, pair.standby.url) as side:
        assert REFUSED == side.run(lambda one: failure(one.execute, statement))


def demoted(connection: Connection) -> None:
    """Have a connection's server refuse to write, as one that was demoted does."""
    connection.execute(text("SET default_transaction_read_only = on"))
    connection.commit()


def test_demoted_server_is_left(both: Both, person: str) -> None:
    """One write is refused, and the next connection is one that writes."""
    del person

    def body(engine: Engine) -> object:
        with engine.connect() as connection:
            demoted(connection)
        with engine.connect() as connection:
            seen = failure(write, connection)
        with engine.connect() as connection:
            write(connection)
            return seen, connection.scalar(text("SELECT count(*) FROM person"))

    expected = (Seen("InternalError", "25006", invalidated=True), 1)
    assert expected == both.primary.on_engine(body)


def test_all_connections_to_a_demoted_server_are_left(both: Both, person: str) -> None:
    """One refusal speaks for the whole pool."""
    del person

    def body(engine: Engine) -> object:
        with engine.connect() as one, engine.connect() as two:
            demoted(one)
            demoted(two)
        with engine.connect() as connection:
            seen = failure(write, connection)
        with engine.connect() as one, engine.connect() as two:
            write(one)
            write(two)
        return seen.invalidated

    assert both.primary.on_engine(body)


def test_copy_to_a_demoted_server_leaves_it(both: Both, person: str) -> None:
    """A load is refused in the same way as a statement, and the next one is not."""
    table = Table(person, MetaData(), Column("id", Integer))
    rows = [{"id": 1}]

    async def asyncio(engine: AsyncEngine) -> int:
        async with engine.connect() as connection:
            await connection.run_sync(demoted)
        with pytest.raises(InternalError):
            async with async_transaction(engine) as connection:
                await async_insert_rows(connection, table, rows)
        async with async_transaction(engine) as connection:
            return await async_insert_rows(connection, table, rows)

    def blocking(engine: Engine) -> int:
        with engine.connect() as connection:
            demoted(connection)
        with pytest.raises(InternalError), transaction(engine) as connection:
            insert_rows(connection, table, rows)
        with transaction(engine) as connection:
            return insert_rows(connection, table, rows)

    side = both.primary
    assert 1 == (side.drive(asyncio) if side.runner else side.on_engine(blocking))


def test_engine_of_one_server_stays_with_it(
    driver: str, pair: Replicated, person: str
) -> None:
    """What `create_engine` opens is not told to look elsewhere."""
    del person

    def body(engine: Engine) -> list[Seen]:
        with engine.connect() as connection:
            demoted(connection)
        found = []
        for _ in range(2):
            with engine.connect() as connection:
                found.append(failure(write, connection))
        return found

    with open_side(driver, pair.primary.url) as side:
        assert [REFUSED, REFUSED] == side.on_engine(body)


def test_refusal_that_was_asked_for_leaves_the_connection(both: Both) -> None:
    """A READ ONLY transaction on the primary says nothing of its server."""

    def body(connection: Connection) -> Seen:
        return failure(connection.execute, text("CREATE TABLE never ()"))

    assert REFUSED == both.primary.run(body, postgresql_readonly=True)


def test_other_errors_leave_the_connection(both: Both) -> None:
    """Only a refusal to write is one of a server that was demoted."""

    def body(connection: Connection) -> Seen:
        return failure(connection.execute, text("SELECT 1 / 0"))

    assert Seen("DataError", "22012") == both.primary.run(body)


def test_scopes_dispose_of_both(pair: Replicated) -> None:
    """Each engine has a scope of its own, also where the other one fails."""
    engines = create_engines(pair.url)
    with pytest.raises(LookupError):
        with engine_scope(engines.primary) as one, engine_scope(engines.reading) as two:
            before = [engine.pool for engine in (one, two)]
            raise LookupError
    assert [True, True] == [
        engine.pool is not pool for engine, pool in zip(engines, before, strict=True)
    ]


async def test_asyncio_scopes_dispose_of_both(pair: Replicated) -> None:
    """Each engine has a scope of its own, also where the other one fails."""
    engines = create_async_engines(pair.url)
    with pytest.raises(LookupError):
        async with async_engine_scope(engines.primary) as one:
            async with async_engine_scope(engines.reading) as two:
                before = [engine.pool for engine in (one, two)]
                raise LookupError
    assert [True, True] == [
        engine.pool is not pool for engine, pool in zip(engines, before, strict=True)
    ]

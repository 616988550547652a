"""What is prepared outlives its connection: how it ended nobody may make up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DBAPIError

from async_layers import Outcome
from async_layers._layers.connection import LayersConnection
from async_layers._layers.engine import adopt
from tests.postgresql import _prepared
from tests.postgresql._dialects import (
    ASYNCPG,
    OURS,
    OURS_ASYNC,
    on,
    open_async_engine,
    open_side,
)
from tests.postgresql._prepared import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import People
    from tests.postgresql._proxy import Proxy

people = _prepared.people


@pytest.fixture
def far(driver: str, proxy: Proxy) -> Iterator[Side]:
    """Return an engine behind the proxy."""
    with open_side(driver, proxy.url) as side:
        yield side


def errors(connection: Connection) -> tuple[type[Exception], ...]:
    """Return what a lost connection may raise: SQLAlchemy does not see all of it."""
    return DBAPIError, connection.dialect.loaded_dbapi.Error


def outcome(connection: Connection) -> Outcome | None:
    """Return how the last transaction of a connection of ours ended."""
    assert isinstance(connection, LayersConnection)
    return connection.outcome


@on(OURS, OURS_ASYNC)
def test_answer_of_prepare_is_lost(far: Side, people: People, proxy: Proxy) -> None:
    """The server has prepared it, and keeps it with its locks."""
    gid = f"{people.schema} carl"

    def body(connection: Connection) -> Outcome | None:
        transaction = connection.begin_twophase(gid)
        connection.execute(people.insert("carl"))
        proxy.cut(after=0)
        with pytest.raises(errors(connection)), transaction:
            transaction.prepare()
        return outcome(connection)

    found = far.run(body)
    assert (Outcome.UNKNOWN, [gid]) == (found, prepared(people.observer, people.schema))


@on(OURS, OURS_ASYNC)
def test_rollback_of_what_is_prepared_is_lost(
    far: Side, people: People, proxy: Proxy
) -> None:
    """Nobody has told the server, which does not roll back by itself."""
    gid = f"{people.schema} carl"

    def body(connection: Connection) -> Outcome | None:
        transaction = connection.begin_twophase(gid)
        connection.execute(people.insert("carl"))
        transaction.prepare()
        proxy.drop()
        with pytest.raises(errors(connection)):
            transaction.rollback()
        return outcome(connection)

    found = far.run(body)
    assert (Outcome.UNKNOWN, [gid]) == (found, prepared(people.observer, people.schema))


@on(OURS, OURS_ASYNC)
def test_rollback_of_what_is_prepared_has_no_connection(
    side: Side, people: People
) -> None:
    """It is known to be lost, and the rollback is not even sent."""
    gid = f"{people.schema} carl"

    def body(connection: Connection) -> Outcome | None:
        transaction = connection.begin_twophase(gid)
        connection.execute(people.insert("carl"))
        transaction.prepare()
        connection.invalidate()
        transaction.rollback()
        return outcome(connection)

    found = side.run(body)
    assert (Outcome.UNKNOWN, [gid]) == (found, prepared(people.observer, people.schema))


@on(OURS, OURS_ASYNC)
def test_prepare_that_is_refused_is_rolled_back(side: Side, people: People) -> None:
    """The server's answer is an answer."""
    gid = f"{people.schema} carl"

    def body(connection: Connection) -> Outcome | None:
        transaction = connection.begin_twophase(gid)
        connection.execute(people.insert("carl"))
        connection.exec_driver_sql("CREATE TEMPORARY TABLE mine () ON COMMIT DROP")
        with pytest.raises(errors(connection)), transaction:
            transaction.prepare()
        return outcome(connection)

    found = side.run(body)
    assert (Outcome.ROLLED_BACK, []) == (
        found,
        prepared(people.observer, people.schema),
    )


@pytest.mark.parametrize("driver", [ASYNCPG, OURS_ASYNC])
async def test_prepare_that_is_cancelled_is_rolled_back(
    driver: str, people: People, proxy: Proxy
) -> None:
    """The cancellation waits for its end, and nothing is left prepared."""
    engine = adopt(open_async_engine(driver, proxy.url))
    found = list[Outcome | None]()

    def body(connection: Connection) -> None:
        try:
            with connection.begin_twophase(f"{people.schema} carl") as transaction:
                connection.execute(people.insert("carl"))
                proxy.cut_messages(0, of="server", act="hold")
                transaction.prepare()
        finally:
            found.append(outcome(connection))

    async def work() -> None:
        async with engine.connect() as connection:
            await connection.run_sync(body)

    task = asyncio.create_task(work())
    assert await asyncio.to_thread(proxy.happens)
    task.cancel()
    await asyncio.wait((task,), timeout=0.02)
    proxy.heal()
    await asyncio.wait((task,), timeout=5)
    assert task.cancelled()
    await engine.dispose()
    left = prepared(people.observer, people.schema), people.names()
    assert ([Outcome.ROLLED_BACK], ([], [])) == (found, left)

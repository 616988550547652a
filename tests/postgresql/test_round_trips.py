"""How often the asyncio dialects wait for the server, counted between it and them.

The trips are what makes a distant server slow. Ours never takes more of them than
SQLAlchemy's own, and what it sends is written here.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.postgresql import _works
from tests.postgresql._dialects import ASYNCPG, OURS_ASYNC, open_async_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._proxy import Proxy

    Work = Callable[[AsyncEngine], Awaitable[None]]


class Trips(NamedTuple):
    """How many trips a work takes the first time on a connection, and again."""

    first: int
    again: int


class Cost(NamedTuple):
    """What a work costs on each dialect."""

    work: Work
    stock: Trips
    ours: Trips


class Sent(NamedTuple):
    """What a work has ours send: statements, and how often each in a row."""

    work: Work
    statements: list[tuple[str, int]]


COSTS = [
    Cost(_works.connect, stock=Trips(2, 2), ours=Trips(2, 2)),
    Cost(_works.check_out, stock=Trips(0, 0), ours=Trips(0, 0)),
    Cost(_works.commit_nothing, stock=Trips(0, 0), ours=Trips(0, 0)),
    Cost(_works.read, stock=Trips(4, 3), ours=Trips(4, 3)),
    Cost(_works.read_in_autocommit, stock=Trips(2, 1), ours=Trips(2, 1)),
    Cost(_works.read_serializable, stock=Trips(4, 3), ours=Trips(4, 3)),
    Cost(_works.read_many, stock=Trips(4, 3), ours=Trips(4, 3)),
    Cost(_works.stream, stock=Trips(25, 24), ours=Trips(15, 14)),
    Cost(_works.stream_few, stock=Trips(5, 4), ours=Trips(5, 4)),
    Cost(_works.stream_one, stock=Trips(5, 4), ours=Trips(5, 4)),
    Cost(_works.write, stock=Trips(4, 3), ours=Trips(4, 3)),
    Cost(_works.write_many, stock=Trips(4, 3), ours=Trips(4, 3)),
    Cost(_works.savepoint, stock=Trips(6, 4), ours=Trips(4, 4)),
    Cost(_works.create_and_drop, stock=Trips(6, 4), ours=Trips(4, 4)),
    Cost(_works.get, stock=Trips(4, 3), ours=Trips(4, 3)),
    Cost(_works.add, stock=Trips(4, 3), ours=Trips(4, 3)),
]

ONE = "SELECT item.id \nFROM item \nWHERE item.id = $1::INTEGER"
NEW = "INSERT INTO item (name) VALUES ($1::VARCHAR)"
SERIES = "SELECT generate_series($1::INTEGER, $2::INTEGER) AS number"

SENT = [
    Sent(_works.connect, []),
    Sent(_works.check_out, []),
    Sent(_works.commit_nothing, []),
    Sent(_works.read, [("BEGIN", 1), (ONE, 1), ("ROLLBACK", 1)]),
    Sent(_works.read_in_autocommit, [(ONE, 1)]),
    Sent(
        _works.read_serializable,
        [("BEGIN ISOLATION LEVEL SERIALIZABLE", 1), (ONE, 1), ("ROLLBACK", 1)],
    ),
    Sent(_works.stream, [("BEGIN", 1), (SERIES, 1), ("ROLLBACK", 1)]),
    Sent(_works.write, [("BEGIN", 1), (f"{NEW} RETURNING item.id", 1), ("COMMIT", 1)]),
    Sent(_works.write_many, [("BEGIN", 1), (NEW, 1000), ("COMMIT", 1)]),
    Sent(
        _works.savepoint,
        [
            ("BEGIN", 1),
            ("SAVEPOINT sa_savepoint_1", 1),
            ("RELEASE SAVEPOINT sa_savepoint_1", 1),
            ("COMMIT", 1),
        ],
    ),
]


@asynccontextmanager
async def opened(
    driver: str, proxy: Proxy, schema: str, **arguments: Any
) -> AsyncIterator[AsyncEngine]:
    """Lend an engine with one connection, whose tables are in a schema of the test."""
    place = {"server_settings": {"search_path": schema}}
    engine = open_async_engine(driver, proxy.url, connect_args=place, **arguments)
    try:
        await _works.prepare(engine)
        yield engine
    finally:
        await engine.dispose()


async def trips(proxy: Proxy, work: Awaitable[None]) -> int:
    """Return how many trips awaiting takes."""
    with proxy.counting() as traffic:
        await work
    return traffic.round_trips


@pytest.mark.parametrize("driver", [ASYNCPG, OURS_ASYNC])
@pytest.mark.parametrize("cost", COSTS, ids=lambda cost: cost.work.__name__)
async def test_work_takes_its_round_trips(
    cost: Cost, driver: str, proxy: Proxy, schema: str
) -> None:
    """Each work takes so many trips the first time on a connection, and again."""
    expected = cost.ours if driver == OURS_ASYNC else cost.stock
    async with opened(driver, proxy, schema) as engine:
        first = await trips(proxy, cost.work(engine))
        again = await trips(proxy, cost.work(engine))
    assert expected == Trips(first, again)


@pytest.mark.parametrize("cost", COSTS, ids=lambda cost: cost.work.__name__)
def test_ours_never_takes_more_round_trips(cost: Cost) -> None:
    """What ours takes is at most what stock takes, the first time and again."""
    assert cost.ours.first <= cost.stock.first
    assert cost.ours.again <= cost.stock.again


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: sent.work.__name__)
async def test_work_sends_these_statements(
    sent: Sent, proxy: Proxy, schema: str
) -> None:
    """Each work sends these statements, each so often in a row, and no other."""
    async with opened(OURS_ASYNC, proxy, schema) as engine:
        with proxy.counting() as traffic:
            await sent.work(engine)
    assert sent.statements == traffic.runs()


@pytest.mark.parametrize("work", [_works.savepoint, _works.create_and_drop])
async def test_what_returns_no_rows_is_not_prepared(
    work: Work, proxy: Proxy, schema: str
) -> None:
    """Savepoints and definitions go by the simple protocol, and leave nothing."""
    async with opened(OURS_ASYNC, proxy, schema) as engine:
        with proxy.counting() as traffic:
            await work(engine)
    assert {"Query": 4} == traffic.counts()


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (ASYNCPG, (3, ["BEGIN;", ";", "ROLLBACK;"])),
        (OURS_ASYNC, (1, ["SELECT 1"])),
    ],
)
async def test_ping_is_one_round_trip(
    driver: str, expected: tuple[int, list[str]], proxy: Proxy, schema: str
) -> None:
    """A pool that pings asks the server once, in no transaction."""
    async with opened(driver, proxy, schema, pool_pre_ping=True) as engine:
        await _works.check_out(engine)
        with proxy.counting() as traffic:
            await _works.check_out(engine)
    assert expected == (traffic.round_trips, traffic.statements)


async def test_value_of_another_type_is_prepared_once_more(
    proxy: Proxy, schema: str
) -> None:
    """A value that asyncpg would change is a statement of its own, the first time."""
    first, again = (
        "SELECT $1::INTEGER AS anon_1",
        "SELECT ($1::float8)::INTEGER AS anon_1",
    )
    async with opened(OURS_ASYNC, proxy, schema) as engine:
        with proxy.counting() as cold:
            await _works.read_float_as_integer(engine)
        with proxy.counting() as warm:
            await _works.read_float_as_integer(engine)
    assert (5, [first, again]) == (cold.round_trips, cold.prepared)
    assert (3, []) == (warm.round_trips, warm.prepared)


@pytest.mark.parametrize("driver", [ASYNCPG, OURS_ASYNC])
async def test_first_connection_of_an_engine_asks_four_things(
    driver: str, proxy: Proxy
) -> None:
    """The first connection asks what SQLAlchemy has to know; codecs ask nothing."""
    engine = open_async_engine(driver, proxy.url)
    with proxy.counting() as traffic:
        await _works.check_out(engine)
    await engine.dispose()
    assert (12, 4) == (traffic.round_trips, len(traffic.prepared))

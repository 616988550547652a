"""Behind PgBouncer in transaction mode: each transaction may have another backend."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Integer, bindparam, func, literal, select, text, update
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.util import greenlet_spawn

from async_layers import create_async_engine
from tests.postgresql import _pgbouncer
from tests.postgresql._dialects import OURS, OURS_ASYNC, Side, on, open_side
from tests.postgresql._pgbouncer import INSTALL, open_through, pgbouncer, program
from tests.postgresql._tasks import becomes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._people import People
    from tests.postgresql._pgbouncer import PgBouncer

TASKS, EACH = 6, 75

bouncer = _pgbouncer.bouncer

pytestmark = pytest.mark.skipif(program() is None, reason=INSTALL)


@pytest.fixture(params=[OURS, OURS_ASYNC])
def driver(request: pytest.FixtureRequest) -> str:
    """Return the names of our dialects in turn, unless the test names its own."""
    named: str = request.param
    return named


@pytest.fixture
def through(people: People, bouncer: PgBouncer, driver: str) -> Iterator[Side]:
    """Return an engine that connects through it, as it should."""
    del people  # it outlives the engine
    with open_through(bouncer, driver) as side:
        yield side


def one_transaction(connection: Connection, people: People, number: int) -> bool:
    """Write and read with some of many statements; say whether the rows are right."""
    table = people.table
    with connection.begin():
        connection.execute(table.insert().values(id=number, name=f"{number}"))
        kind = number % 5
        constants = [literal(number).label(f"x{n}") for n in range(kind + 1)]
        if kind % 2:
            connection.execute(
                update(table).where(table.c.id == number).values(version=kind)
            )
        row = connection.execute(
            select(table.c.name, table.c.version, *constants).where(
                table.c.id == number
            )
        ).one()
    version = kind if kind % 2 else None
    return (f"{number}", version, *[number] * (kind + 1)) == tuple(row)


def many_transactions(engine: Engine, people: People, task: int) -> int:
    """Return how many transactions of one task got the right rows."""
    right = 0
    for each in range(EACH):
        with engine.connect() as connection:
            right += one_transaction(connection, people, each * TASKS + task)
    return right


def in_tasks(side: Side, people: People) -> list[int]:
    """Run the transactions of all tasks, or threads."""
    if side.runner is None:
        with ThreadPoolExecutor(TASKS) as executor:
            work = partial(many_transactions, side.engine, people)
            return list(executor.map(work, range(TASKS)))

    async def gather(engine: AsyncEngine) -> list[int]:
        works = (
            greenlet_spawn(many_transactions, engine.sync_engine, people, task)
            for task in range(TASKS)
        )
        return await asyncio.gather(*works)

    return side.drive(gather)


def test_transactions_of_six_tasks_get_their_own_rows(
    people: People, bouncer: PgBouncer, driver: str
) -> None:
    """450 transactions on three backends; nothing is left prepared on them."""
    with open_through(bouncer, driver, pool_size=TASKS) as side:
        right = in_tasks(side, people)
        assert [EACH] * TASKS == right
    assert TASKS * EACH == len(people.names())
    assert ([], {"idle"}) == (bouncer.prepared(), set(bouncer.backends()))


def test_psycopg_under_asyncio_gets_its_own_rows(
    people: People, bouncer: PgBouncer
) -> None:
    """The other driver of asyncio is told the same, in its words."""
    named = bouncer.url.set(drivername="postgresql+psycopg")
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        engine = create_async_engine(named, pooler="pgbouncer", pool_size=TASKS)
        right = in_tasks(Side("psycopg", engine, runner), people)
        runner.run(engine.dispose())
    assert [EACH] * TASKS == right
    assert ([], {"idle"}) == (bouncer.prepared(), set(bouncer.backends()))


def test_prepared_statement_is_not_there_on_another_backend(
    postgresql_url: str, driver: str
) -> None:
    """With the caches on, what one backend has prepared the other does not know."""

    def ask(engine: Engine) -> None:
        for _ in range(7):  # psycopg prepares what comes more than five times
            with engine.begin() as connection:  # and forgets it by ROLLBACK
                connection.execute(select(literal(1)))
        with engine.connect() as connection, engine.connect() as busy:
            busy.execute(select(literal("the backend that was used last")))
            connection.execute(select(literal(1)))

    with (
        pgbouncer(postgresql_url, size=2) as two,
        open_side(driver, two.url.render_as_string(hide_password=False)) as side,
        pytest.raises(DBAPIError) as caught,
    ):
        side.on_engine(ask)
    assert "26000" == getattr(caught.value.orig, "sqlstate", None)


def test_refusals_reach_no_backend(through: Side) -> None:
    """The transaction around goes on."""

    def body(connection: Connection) -> object:
        with pytest.raises(InvalidRequestError, match="is refused"):
            connection.execute(text("COMMIT"))
        return connection.scalar(select(literal(1)))

    assert 1 == through.run(body)


@pytest.mark.parametrize("number", [2.5, 2, "2"])
def test_values_are_converted_by_the_server(
    through: Side, bouncer: PgBouncer, number: object
) -> None:
    """A float for an INTEGER is prepared with a cast, again under no name."""
    statement = select(literal(number, Integer))
    found = [through.run(lambda one: one.scalar(statement)) for _ in range(7)]
    assert ([2] * 7, []) == (found, bouncer.prepared())


def test_stale_count_is_exact(people: People, through: Side) -> None:
    """What executemany counts is read from what comes through."""
    people.add(2)
    table = people.table

    def body(connection: Connection) -> int:
        return connection.execute(
            update(table).where(table.c.id == bindparam("number")).values(name="emma"),
            [{"number": number} for number in (1, 2, 3)],
        ).rowcount

    assert 2 == through.run(body)


def test_stream_is_read_to_its_end(people: People, through: Side) -> None:
    """Its portal lives in the transaction, on whichever backend that is."""
    people.add(300)
    statement = select(people.table.c.id).execution_options(yield_per=50)

    def body(connection: Connection) -> int:
        return len(set(connection.scalars(statement)))

    assert 300 == through.run(body)


def test_failed_transaction_gives_its_backend_back(
    people: People, bouncer: PgBouncer, through: Side
) -> None:
    """It is rolled back; a savepoint mends it, as anywhere."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        with pytest.raises(DBAPIError), connection.begin_nested():
            connection.execute(text("SELECT 1 / 0"))
        connection.commit()
        connection.execute(people.insert("dora"))
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1 / 0"))

    through.run(body)
    assert (["carl"], {"idle"}) == (people.names(), set(bouncer.backends()))


@on(OURS_ASYNC)
def test_cancelled_statement_ends_on_its_backend(
    people: People, bouncer: PgBouncer, through: Side
) -> None:
    """The request to cancel goes the same way, and finds the right backend."""

    async def body(engine: AsyncEngine) -> bool:
        with pytest.raises(TimeoutError):
            async with engine.begin() as connection:
                await connection.execute(people.insert("carl"))
                async with asyncio.timeout(0.1):
                    await connection.execute(select(func.pg_sleep(60)))
        return await becomes(lambda: set(bouncer.backends()) <= {"idle"})

    assert through.drive(body)
    assert [] == people.names()

"""One error, on every way that a statement takes to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, registry

from tests.postgresql import _faults
from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    OURS,
    OURS_ASYNC,
    on,
    wrong_on,
)
from tests.postgresql._faults import Seen, backend, counts, failure, seen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    import psycopg
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

CLASSES = "most SQLSTATEs have no class of their own, and become a bare DBAPIError"
DIVIDED = Seen("DataError", "22012")
TWICE = Seen("IntegrityError", "23505")

DIVISION = text("SELECT 1 / 0")
GROUND = """
CREATE TABLE {schema}.half (d int, n int GENERATED ALWAYS AS (10 / d) STORED);
CREATE TABLE {schema}.late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE PROCEDURE {schema}.fail() LANGUAGE plpgsql AS
    $$ BEGIN PERFORM 1 / 0; END $$
"""


@pytest.fixture
def ground(observer: psycopg.Connection[Any], schema: str) -> str:
    """Return a schema that holds the tables."""
    observer.execute(GROUND.format(schema=schema).encode())
    return schema


def half(schema: str) -> Table:
    """Return the table of which each row is a division."""
    return Table("half", MetaData(), Column("d", Integer), schema=schema)


def twice(schema: str) -> Table:
    """Return the table that checks its rows when the transaction commits."""
    return Table("late", MetaData(), Column("n", Integer), schema=schema)


WAYS: dict[str, Callable[[Connection, str], object]] = {
    "rows": lambda c, _: c.execute(DIVISION),
    "a parameter": lambda c, _: c.execute(text("SELECT 1 / :n"), {"n": 0}),
    "no rows": lambda c, _: c.execute(text("DO $$ BEGIN PERFORM 1 / 0; END $$")),
    "a call": lambda c, s: c.execute(text(f"CALL {s}.fail()")),
    "the driver's own SQL": lambda c, _: c.exec_driver_sql("SELECT 1 / 0"),
    "one row": lambda c, s: c.execute(insert(half(s)), {"d": 0}),
    "a batch": lambda c, s: c.execute(insert(half(s)), [{"d": 1}, {"d": 0}]),
    "a batch that returns": lambda c, s: c.execute(
        insert(half(s)).returning(half(s).c.d), [{"d": 1}, {"d": 0}]
    ),
    "a session": lambda c, _: Session(c).execute(DIVISION),
    "a stream": lambda c, _: (
        c.execution_options(stream_results=True).execute(DIVISION).all()
    ),
}


@wrong_on(ASYNCPG, CLASSES)
def test_an_error_is_the_same_on_every_way(side: Side, ground: str) -> None:
    """Rows or none, one set of parameters or many: a division by zero is 22012."""

    def body(connection: Connection) -> dict[str, Seen]:
        found = dict[str, Seen]()
        for name, way in WAYS.items():
            found[name] = failure(way, connection, ground)
            connection.rollback()
        return found

    assert dict.fromkeys(WAYS, DIVIDED) == side.run(body)


async def _streamed(connection: AsyncConnection) -> object:
    async with connection.stream(DIVISION) as result:
        return await result.all()


ASYNCIO_WAYS: dict[str, Callable[[AsyncConnection], Awaitable[object]]] = {
    "execute": lambda c: c.execute(DIVISION),
    "scalar": lambda c: c.scalar(DIVISION),
    "scalars": lambda c: c.scalars(DIVISION),
    "exec_driver_sql": lambda c: c.exec_driver_sql("SELECT 1 / 0"),
    "run_sync": lambda c: c.run_sync(lambda sync: sync.execute(DIVISION)),
    "stream": _streamed,
    "a session": lambda c: AsyncSession(c).scalar(DIVISION),
}


@wrong_on(ASYNCPG, CLASSES, among=ASYNCIO)
def test_an_error_is_the_same_on_every_way_of_asyncio(side: Side) -> None:
    """What is awaited raises what a blocking call raises."""

    async def body(engine: AsyncEngine) -> dict[str, Seen]:
        found = dict[str, Seen]()
        async with engine.connect() as connection:
            for name, way in ASYNCIO_WAYS.items():
                try:
                    await way(connection)
                except DBAPIError as error:
                    found[name] = seen(error)
                await connection.rollback()
        return found

    assert dict.fromkeys(ASYNCIO_WAYS, DIVIDED) == side.drive(body)


def test_a_commit_that_is_refused_raises_the_constraints_error(
    side: Side, ground: str
) -> None:
    """A constraint that is checked at the end fails COMMIT, and nothing stays."""

    def body(connection: Connection) -> tuple[Seen, object]:
        connection.execute(insert(twice(ground)), [{"n": 1}, {"n": 1}])
        refused = failure(connection.commit)
        connection.rollback()
        return refused, connection.execute(select(twice(ground))).all()

    assert (TWICE, []) == side.run(body)


def test_a_block_whose_commit_is_refused_raises_the_constraints_error(
    side: Side, ground: str
) -> None:
    """`begin()` raises what COMMIT raised, and the connection is in the pool again."""

    def body(engine: Engine) -> tuple[Seen, int]:
        lent = counts(engine)[1]

        def write() -> None:
            with engine.begin() as connection:
                connection.execute(insert(twice(ground)), [{"n": 1}, {"n": 1}])

        return failure(write), counts(engine)[1] - lent

    assert (TWICE, 0) == side.on_engine(body)


@wrong_on(ASYNCPG, CLASSES)
def test_a_flush_raises_the_constraints_error(side: Side, ground: str) -> None:
    """A session raises what its INSERT raised; after the rollback it goes on."""
    person: Any = type("Person", (), {})
    registry().map_imperatively(
        person,
        Table(
            "half", MetaData(), Column("d", Integer, primary_key=True), schema=ground
        ),
    )

    def body(session: Session) -> tuple[Seen, object]:
        one = person()
        one.d = 0
        session.add(one)
        refused = failure(session.flush)
        session.rollback()
        return refused, session.scalar(text("SELECT 2"))

    assert (DIVIDED, 2) == side.session(body)


def test_a_savepoint_outlives_the_error_inside(side: Side, ground: str) -> None:
    """An error in a savepoint that is rolled back costs what is inside alone."""

    def body(connection: Connection) -> object:
        connection.execute(insert(half(ground)), {"d": 1})

        def write() -> None:
            with connection.begin_nested():
                connection.execute(insert(half(ground)), {"d": 2})
                connection.execute(DIVISION)

        failure(write)
        connection.execute(insert(half(ground)), {"d": 5})
        connection.commit()
        return connection.scalars(select(half(ground).c.d)).all()

    assert [1, 5] == side.run(body)


def test_an_error_outside_a_transaction_leaves_none(side: Side) -> None:
    """In autocommit the statement after an error runs."""

    def body(connection: Connection) -> object:
        failure(connection.execute, DIVISION)
        return connection.scalar(text("SELECT 2"))

    assert 2 == side.run(body, isolation_level="AUTOCOMMIT")


@on(OURS, OURS_ASYNC)
def test_a_backend_that_ends_within_a_batch_in_autocommit_is_lost(side: Side) -> None:
    """Nobody is there to be told to roll back."""
    end = text("SELECT pg_terminate_backend(CAST(:pid AS int))")

    def body(connection: Connection) -> tuple[str, bool]:
        pids = [{"pid": 0.1}, {"pid": backend(connection)}]
        found = failure(connection.execute, end, pids)
        return found.kind, found.invalidated

    lost = ("OperationalError", True)
    assert lost == side.run(body, isolation_level="AUTOCOMMIT")

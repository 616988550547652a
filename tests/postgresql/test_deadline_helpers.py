"""A deadline on what else the helpers open: reading, streams, units of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from sqlalchemy import Connection, Engine, Select, column, func, select, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.orm import Session, sessionmaker

import async_layers
from async_layers import DeadlineExceeded, Outcome
from tests.postgresql import _deadline
from tests.postgresql._deadline import (
    AMPLE,
    ONE,
    SLEEP,
    SOON,
    both,
    run_out,
)
from tests.postgresql._dialects import on
from tests.postgresql._faults import connect, end_backend, lost_cursors
from tests.postgresql._servers import through

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_layers._layers.deadline.limit import Limit
    from tests.postgresql._dialects import Side
    from tests.postgresql._people import Observer, People

hasty, limits = _deadline.hasty, _deadline.limits

_T = TypeVar("_T")

STATEMENT_TIMEOUT = text("SHOW statement_timeout")
NUMBERS: Select[Any] = select(column("n")).select_from(
    func.generate_series(1, 1000).alias("n")
)


def reading(side: Side, body: Callable[[Connection], _T]) -> _T:
    """Run a body in `read` with an ample deadline."""
    if isinstance(side.opened, Engine):
        with async_layers.read(side.opened, deadline=AMPLE) as connection:
            return body(connection)

    async def read(engine: AsyncEngine) -> _T:
        async with async_layers.async_read(engine, deadline=AMPLE) as connection:
            return await connection.run_sync(body)

    return side.drive(read)


def working(side: Side, body: Callable[[Session], object]) -> Outcome | None:
    """Run a body in a unit of work with an ample deadline; return its outcome."""
    if isinstance(side.opened, Engine):
        factory = async_layers.sessionmaker(side.opened)
        scope = async_layers.unit_of_work(factory, deadline=AMPLE)
        with pytest.raises(DeadlineExceeded), scope as session:
            body(session)
        return scope.outcome

    async def work(engine: AsyncEngine) -> Outcome | None:
        factory = async_layers.async_sessionmaker(engine)
        scope = async_layers.async_unit_of_work(factory, deadline=AMPLE)
        with pytest.raises(DeadlineExceeded):
            async with scope as session:
                await session.run_sync(body)
        return scope.outcome

    return side.drive(work)


def exceed(connection: Connection) -> str:
    """Execute what takes too long; return what ran out."""
    run_out(connection, SOON)
    with pytest.raises(DeadlineExceeded) as caught:
        connection.execute(SLEEP)
    return caught.value.part


@both
def test_reading_is_stopped(own_side: Side) -> None:
    """Its connection is as good as before; the server was not told, and not asked."""

    def body(connection: Connection) -> tuple[object, str]:
        return connection.scalar(STATEMENT_TIMEOUT), exceed(connection)

    assert ("0", "a statement") == reading(own_side, body)
    assert 1 == own_side.run(lambda connection: connection.scalar(ONE))


@both
def test_reading_goes_on_with_another_connection_in_time(
    own_side: Side, observer: Observer
) -> None:
    """What takes the place of a connection that was lost has the same deadline."""

    def body(connection: Connection) -> str:
        end_backend(observer, connection)
        with pytest.raises(DBAPIError):
            connection.execute(ONE)
        connection.rollback()
        assert 1 == connection.scalar(ONE)
        return exceed(connection)

    assert "a statement" == reading(own_side, body)


@both
@pytest.mark.usefixtures("hasty")
def test_another_connection_is_not_waited_for_too_long(
    driver: str, postgresql_url: str
) -> None:
    """Connecting again in the middle of a scope is connecting as well."""
    with through(driver, postgresql_url) as (proxy, side):

        def body(connection: Connection) -> str:
            proxy.drop()
            with pytest.raises(DBAPIError):
                connection.execute(ONE)
            connection.rollback()
            proxy.black_hole()
            run_out(connection, SOON)
            with pytest.raises(DeadlineExceeded) as caught:
                connection.execute(ONE)
            return caught.value.part

        assert "connecting" == reading(side, body)
        proxy.heal()
        side.on_engine(connect)


@both
@lost_cursors
def test_a_stream_is_refused_when_its_time_is_over(
    own_side: Side, limits: list[Limit]
) -> None:
    """The rows that are there are given; the next batch is not asked for."""

    async def read(engine: AsyncEngine) -> None:
        stream = async_layers.async_stream
        async with stream(engine, NUMBERS, batch=10, deadline=AMPLE) as batches:
            async for _ in batches:
                limits[0].budget.end = 0.0

    if isinstance(own_side.opened, Engine):
        scope = async_layers.stream(own_side.opened, NUMBERS, batch=10, deadline=AMPLE)
        with pytest.raises(DeadlineExceeded) as caught, scope as batches:
            for _ in batches:
                limits[0].budget.end = 0.0
    else:
        with pytest.raises(DeadlineExceeded) as caught:
            own_side.drive(read)
    assert "a statement" == caught.value.part


@both
def test_a_unit_of_work_is_stopped(own_side: Side) -> None:
    """Its session executes nothing any more, and is closed."""

    def body(session: Session) -> None:
        run_out(session.connection(), SOON)
        session.execute(SLEEP)

    assert Outcome.ROLLED_BACK == working(own_side, body)


@both
def test_a_unit_of_work_is_not_flushed_when_the_time_is_over(
    own_side: Side, people: People
) -> None:
    """What is flushed before the commit is a statement like others."""
    person = people.mapped()

    def body(session: Session) -> None:
        session.add(person(id=1, name="anna"))
        run_out(session.connection())

    assert Outcome.ROLLED_BACK == working(own_side, body)
    assert [] == people.names()


def test_a_unit_of_work_of_a_connection_has_no_deadline(postgresql_url: str) -> None:
    """Its transaction is not its own, and neither is its time."""
    with async_layers.engine_scope(postgresql_url) as engine, engine.connect() as one:
        factory = sessionmaker(one)
        with pytest.raises(InvalidRequestError, match="write a factory from"):
            async_layers.unit_of_work(factory, deadline=1).__enter__()


@on("ours_async")
def test_a_blocking_scope_below_asyncio_is_stopped(own_side: Side) -> None:
    """In run_sync() the event loop looks at the time, where no thread may."""

    def body(engine: Engine) -> str:
        with (
            pytest.raises(DeadlineExceeded) as caught,
            async_layers.transaction(engine, deadline=AMPLE) as connection,
        ):
            run_out(connection, SOON)
            connection.execute(SLEEP)
        return caught.value.part

    assert "a statement" == own_side.on_engine(body)

"""A deadline on a COPY, which no statement of SQLAlchemy's is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine

import async_layers
from async_layers import DeadlineExceeded, Outcome
from tests.postgresql import _deadline
from tests.postgresql._deadline import (
    AMPLE,
    BRIEF,
    both,
)
from tests.postgresql._dialects import on
from tests.postgresql._faults import connect
from tests.postgresql._servers import through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_layers._layers.deadline.limit import Limit
    from tests.postgresql._dialects import Side
    from tests.postgresql._people import People

hasty, limits = _deadline.hasty, _deadline.limits


def copying(side: Side, table: Any, rows: Callable[[], Any]) -> tuple[Any, Any]:
    """Copy rows into a table in a scope; return the error and the outcome."""
    if isinstance(side.opened, Engine):
        scope = async_layers.transaction(side.opened, deadline=AMPLE)
        with pytest.raises(DeadlineExceeded) as caught, scope as connection:
            async_layers.insert_rows(connection, table, rows())
        return caught.value, scope.outcome

    async def copy(engine: AsyncEngine) -> tuple[Any, Any]:
        scope = async_layers.async_transaction(engine, deadline=AMPLE)
        with pytest.raises(DeadlineExceeded) as caught:
            async with scope as connection:
                await async_layers.async_insert_rows(connection, table, rows())
        return caught.value, scope.outcome

    return side.drive(copy)


@on("ours", "ours_async", "psycopg_async")
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("hole", [False, True], ids=["locked", "black hole"])
def test_a_copy_is_stopped(
    driver: str, postgresql_url: str, people: People, limits: list[Limit], *, hole: bool
) -> None:
    """It waits for a lock, or for a server that does not answer."""
    with through(driver, postgresql_url) as (proxy, side):
        side.on_engine(connect)

        def rows() -> Iterator[dict[str, object]]:
            limits[0].budget.end = time.monotonic() + BRIEF  # the COPY has not begun
            yield {"id": 1, "name": "anna", "version": 1}
            if hole:
                proxy.black_hole()
            yield {"id": 2, "name": "bert", "version": 1}

        people.observer.execute("BEGIN")
        try:
            if not hole:
                table = f"{people.schema}.person"
                people.observer.execute(f"LOCK TABLE {table}".encode())
            error, outcome = copying(side, people.table, rows)
        finally:
            people.observer.execute("ROLLBACK")
        proxy.heal()
        assert ("a statement", Outcome.ROLLED_BACK) == (error.part, outcome)
        side.on_engine(connect)
        assert [] == people.names()


@both
def test_a_copy_is_done_in_time(own_side: Side, people: People) -> None:
    """A scope in time is as any other."""
    rows = [{"id": 1, "name": "anna", "version": 1}]
    if isinstance(own_side.opened, Engine):
        with async_layers.transaction(own_side.opened, deadline=AMPLE) as connection:
            async_layers.insert_rows(connection, people.table, rows)
    else:

        async def copy(engine: AsyncEngine) -> None:
            async with async_layers.async_transaction(engine, deadline=AMPLE) as one:
                await async_layers.async_insert_rows(one, people.table, rows)

        own_side.drive(copy)
    assert ["anna"] == people.names()

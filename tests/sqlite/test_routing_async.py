"""A session that chooses its engine by itself, one of SQLAlchemy's own.

Source: https://docs.sqlalchemy.org/en/21/orm/persistence_techniques.html, "Custom
Vertical Partitioning".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy.ext.asyncio
from sqlalchemy.orm import Session

from async_layers import (
    Outcome,
    async_on_commit,
    async_run_unit_of_work,
    async_unit_of_work,
)
from async_layers._layers.sync import sync_of
from tests.sqlite._ground import CARL, async_engine_on, fresh, names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncSession


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with an empty table of people."""
    return fresh(tmp_path)


@pytest.fixture
async def factory(
    file: Path,
) -> AsyncIterator[sqlalchemy.ext.asyncio.async_sessionmaker[AsyncSession]]:
    """Return a factory of sessions that find their engine when they need it."""
    async with async_engine_on("aiosqlite", file) as engine:

        class Routing(Session):
            def get_bind(self, *_: Any, **__: Any) -> Engine:
                return engine.sync_engine

        yield sqlalchemy.ext.asyncio.async_sessionmaker(sync_session_class=Routing)


async def test_outcome_is_known(
    factory: sqlalchemy.ext.asyncio.async_sessionmaker[AsyncSession], file: Path
) -> None:
    """It is that of the connection which the session chose."""
    scope = async_unit_of_work(factory)
    async with scope as session:
        await session.execute(CARL)
    assert (Outcome.COMMITTED, ["carl"]) == (scope.outcome, names(file))


async def test_hook_runs(
    factory: sqlalchemy.ext.asyncio.async_sessionmaker[AsyncSession],
) -> None:
    """The COMMIT is one of ours, and has its hooks."""
    told = list[int]()

    async def tell() -> None:
        told.append(1)

    async with async_unit_of_work(factory) as session:
        await session.execute(CARL)
        async_on_commit(session, tell)
    assert [1] == told


async def test_result_is_returned(
    factory: sqlalchemy.ext.asyncio.async_sessionmaker[AsyncSession], file: Path
) -> None:
    """What was committed is not taken for rolled back."""

    async def function(session: AsyncSession) -> str:
        await session.execute(CARL)
        return "done"

    assert "done" == await async_run_unit_of_work(factory, function)
    assert ["carl"] == names(file)


async def test_result_is_returned_where_others_end_the_transaction(file: Path) -> None:
    """A session that chooses a connection of its caller's knows no outcome."""

    async def function(session: AsyncSession) -> str:
        await session.execute(CARL)
        return "done"

    async with async_engine_on("aiosqlite", file) as engine:
        async with engine.begin() as connection:
            sync = sync_of(connection)

            class Routing(Session):
                def get_bind(self, *_: Any, **__: Any) -> Connection:
                    return sync

            factory = sqlalchemy.ext.asyncio.async_sessionmaker(
                sync_session_class=Routing
            )
            assert "done" == await async_run_unit_of_work(factory, function)
    assert ["carl"] == names(file)

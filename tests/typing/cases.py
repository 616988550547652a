"""What type checkers must say of the helpers; checked and never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import assert_type

import sqlalchemy.ext.asyncio
import sqlalchemy.orm
from sqlalchemy import Connection, Engine, NestedTransaction, Row, select
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    AsyncTransaction,
)
from sqlalchemy.orm import Session

from async_layers import (
    SQLiteOptions,
    Trace,
    async_engine_scope,
    async_insert_rows,
    async_read,
    async_savepoint,
    async_sessionmaker,
    async_stream,
    async_transaction,
    async_unit_of_work,
    create_async_engine,
    create_engine,
    engine_scope,
    insert_rows,
    read,
    savepoint,
    sessionmaker,
    stream,
    trace,
    transaction,
    unit_of_work,
)
from async_layers.patterns.tables import Account


class OurSession(Session):
    """A session of the user's own class."""


class OurAsyncSession(AsyncSession):
    """An asyncio session of the user's own class."""


def blocking(connection: Connection) -> None:
    """Get SQLAlchemy's own types from the helpers."""
    engine = create_engine("sqlite://", sqlite=SQLiteOptions(), pool_size=3)
    assert_type(engine, Engine)
    with engine_scope(engine) as opened:
        assert_type(opened, Engine)
    with transaction(engine, deadline=1.5) as given:
        assert_type(given, Connection)
    with read(engine) as given:
        assert_type(given, Connection)
    with savepoint(connection) as nested:
        assert_type(nested, NestedTransaction)
    with stream(engine, select(Account.id, Account.owner)) as batches:
        assert_type(batches, Iterator[Sequence[Row[int, str]]])
    rows = [{"id": 1, "owner": "anna"}]
    assert_type(insert_rows(connection, Account.__table__, rows), int)
    factory = sessionmaker(engine)
    assert_type(factory, sqlalchemy.orm.sessionmaker[Session])
    assert_type(
        sessionmaker(engine, class_=OurSession), sqlalchemy.orm.sessionmaker[OurSession]
    )
    with unit_of_work(sessionmaker(engine, class_=OurSession)) as session:
        assert_type(session, OurSession)
    with trace(engine) as seen:
        assert_type(seen, Trace)


async def asyncio(connection: AsyncConnection) -> None:
    """Get SQLAlchemy's own types from the helpers."""
    engine = create_async_engine("sqlite://", sqlite=SQLiteOptions(), pool_size=3)
    assert_type(engine, AsyncEngine)
    async with async_engine_scope(engine) as opened:
        assert_type(opened, AsyncEngine)
    async with async_transaction(engine, deadline=1.5) as given:
        assert_type(given, AsyncConnection)
    async with async_read(engine) as given:
        assert_type(given, AsyncConnection)
    async with async_savepoint(connection) as nested:
        assert_type(nested, AsyncTransaction)
    async with async_stream(engine, select(Account.id, Account.owner)) as batches:
        assert_type(batches, AsyncIterator[Sequence[Row[int, str]]])
    rows = [{"id": 1, "owner": "anna"}]
    assert_type(await async_insert_rows(connection, Account.__table__, rows), int)
    factory = async_sessionmaker(engine)
    assert_type(factory, sqlalchemy.ext.asyncio.async_sessionmaker[AsyncSession])
    assert_type(
        async_sessionmaker(engine, class_=OurAsyncSession),
        sqlalchemy.ext.asyncio.async_sessionmaker[OurAsyncSession],
    )
    async with async_unit_of_work(
        async_sessionmaker(engine, class_=OurAsyncSession)
    ) as session:
        assert_type(session, OurAsyncSession)
    with trace(engine) as seen:
        assert_type(seen, Trace)


def refused(engine: Engine, async_engine: AsyncEngine) -> None:
    """Be told of the other world's objects before anything runs."""
    transaction(async_engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_transaction(engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sessionmaker(async_engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_sessionmaker(engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    trace("sqlite://")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

"""The helpers of the three layers, where the facts do not show them."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    event,
    func,
    select,
    text,
)
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    InvalidRequestError,
    OperationalError,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from async_layers import (
    async_engine_scope,
    async_insert_rows,
    async_sessionmaker,
    async_stream,
    async_transaction,
    async_unit_of_work,
    create_async_engine,
    create_engine,
    engine_scope,
    insert_rows,
    savepoint,
    sessionmaker,
    stream,
    trace,
    transaction,
    unit_of_work,
)
from async_layers._transactions import Plan
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from async_layers._proof.scratch import Scratch

ACCOUNT = Account.__table__
ROWS = [{"id": n, "owner": f"owner {n}", "balance": n} for n in range(10, 2510)]


def fail(times: int) -> Callable[..., None]:
    """Return a listener that lets so many attempts to connect fail."""
    left = [times]

    def do_connect(*_: object) -> None:
        if left[0]:
            left[0] -= 1
            raise ConnectionRefusedError

    return do_connect


def test_scope_waits_for_the_server(sqlite_url: str) -> None:
    """The block begins when the server answers."""
    engine = create_engine(sqlite_url)
    event.listen(engine, "do_connect", fail(3))
    with engine_scope(engine, wait=5.0) as lent, lent.connect() as connection:
        assert lent is engine
        assert 1 == connection.scalar(text("SELECT 1"))


async def test_scope_waits_for_the_server_under_asyncio(sqlite_url: str) -> None:
    """The block begins when the server answers."""
    engine = create_async_engine(sqlite_url)
    event.listen(engine.sync_engine, "do_connect", fail(3))
    async with async_engine_scope(engine, wait=5.0) as lent:
        assert lent is engine
        async with lent.connect() as connection:
            assert 1 == await connection.scalar(text("SELECT 1"))


def test_wait_ends_with_the_last_error(sqlite_url: str) -> None:
    """A server that never answers is told of by its own error."""
    engine = create_engine(sqlite_url)
    event.listen(engine, "do_connect", fail(1000))
    with pytest.raises(ConnectionRefusedError), engine_scope(engine, wait=0.1):
        pytest.fail("the block does not begin")


async def test_wait_ends_with_the_last_error_under_asyncio(sqlite_url: str) -> None:
    """A server that never answers is told of by its own error."""
    engine = create_async_engine(sqlite_url)
    event.listen(engine.sync_engine, "do_connect", fail(1000))
    with pytest.raises(ConnectionRefusedError):
        async with async_engine_scope(engine, wait=0.1):
            pytest.fail("the block does not begin")


def test_rows_of_any_number_are_inserted(place: Scratch) -> None:
    """Rows come from an iterator, in batches or by COPY, and are counted."""
    with engine_scope(place.urls["sync"]) as engine:
        with transaction(engine) as connection:
            assert 0 == insert_rows(connection, ACCOUNT, [])
            assert 2500 == insert_rows(connection, ACCOUNT, iter(ROWS), batch=1000)
        with transaction(engine) as connection:
            total = select(func.count(), func.sum(Account.balance))
            assert (2502, 3148900) == tuple(connection.execute(total).one())


async def test_rows_of_any_number_are_inserted_under_asyncio(place: Scratch) -> None:
    """Rows come from an iterator, in batches or by COPY, and are counted."""
    async with async_engine_scope(place.urls["async"]) as engine:
        async with async_transaction(engine) as connection:
            assert 0 == await async_insert_rows(connection, ACCOUNT, [])
            count = await async_insert_rows(connection, ACCOUNT, iter(ROWS), batch=1000)
            assert 2500 == count
        async with async_transaction(engine) as connection:
            total = select(func.count(), func.sum(Account.balance))
            assert (2502, 3148900) == tuple((await connection.execute(total)).one())


def test_rows_that_break_a_constraint_are_refused_whole(place: Scratch) -> None:
    """A load is part of its transaction: all rows or none."""
    with engine_scope(place.urls["sync"]) as engine:
        with pytest.raises(IntegrityError), transaction(engine) as connection:
            insert_rows(connection, ACCOUNT, [*ROWS, ROWS[0]])
        with transaction(engine) as connection:
            assert 2 == connection.scalar(select(func.count(Account.id)))


async def test_rows_that_break_a_constraint_are_refused_whole_under_asyncio(
    place: Scratch,
) -> None:
    """A load is part of its transaction: all rows or none."""
    async with async_engine_scope(place.urls["async"]) as engine:
        with pytest.raises(IntegrityError):
            async with async_transaction(engine) as connection:
                await async_insert_rows(connection, ACCOUNT, [*ROWS, ROWS[0]])
        async with async_transaction(engine) as connection:
            assert 2 == await connection.scalar(select(func.count(Account.id)))


def test_row_with_other_columns_is_refused(place: Scratch) -> None:
    """A load whose third row is another is refused, with its number."""
    rows = [*ROWS[:2], {"id": 1}]
    with engine_scope(place.urls["sync"]) as engine:
        with pytest.raises(ArgumentError, match="Row 3"), engine.begin() as connection:
            insert_rows(connection, ACCOUNT, rows)
        with engine.connect() as connection:
            assert 2 == connection.scalar(select(func.count(Account.id)))


async def test_row_with_other_columns_is_refused_under_asyncio(
    place: Scratch,
) -> None:
    """A load whose third row is another is refused, with its number."""
    rows = [*ROWS[:2], {"id": 1}]
    async with async_engine_scope(place.urls["async"]) as engine:
        with pytest.raises(ArgumentError, match="Row 3"):
            async with async_transaction(engine) as connection:
                await async_insert_rows(connection, ACCOUNT, rows)
        async with engine.connect() as connection:
            assert 2 == await connection.scalar(select(func.count(Account.id)))


def test_stream_comes_in_batches(place: Scratch) -> None:
    """Each batch but the last has its size; leaving early gives all back."""
    with engine_scope(place.urls["sync"]) as engine:
        with transaction(engine) as connection:
            insert_rows(connection, ACCOUNT, ROWS)
        statement = select(Account.id).order_by(Account.id)
        with stream(engine, statement, batch=1000) as batches:
            assert [1000, 1000, 502] == [len(rows) for rows in batches]
        with stream(engine, statement.where(Account.id > 9)) as batches:
            assert (10,) == tuple(next(batches)[0])
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


async def test_stream_comes_in_batches_under_asyncio(place: Scratch) -> None:
    """Each batch but the last has its size; leaving early gives all back."""
    async with async_engine_scope(place.urls["async"]) as engine:
        async with async_transaction(engine) as connection:
            await async_insert_rows(connection, ACCOUNT, ROWS)
        statement = select(Account.id).order_by(Account.id)
        async with async_stream(engine, statement, batch=1000) as batches:
            assert [1000, 1000, 502] == [len(rows) async for rows in batches]
        async with async_stream(engine, statement.where(Account.id > 9)) as batches:
            assert (10,) == tuple((await anext(batches))[0])
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


class OurSession(Session):
    """A session of the user's own class."""


class OurAsyncSession(AsyncSession):
    """An asyncio session of the user's own class."""


def test_factory_passes_sqlalchemys_arguments(sqlite_url: str) -> None:
    """The factory's sessions are of the user's class and options."""
    engine = create_engine(sqlite_url)
    factory = sessionmaker(engine, class_=OurSession, autoflush=False)
    with factory() as session:
        assert isinstance(session, OurSession)
        assert (False, False) == (session.autoflush, session.expire_on_commit)
    async_factory = async_sessionmaker(
        create_async_engine(sqlite_url), class_=OurAsyncSession, autoflush=False
    )
    asyncio = async_factory()
    assert isinstance(asyncio, OurAsyncSession)
    assert (False, False) == (
        asyncio.sync_session.autoflush,
        asyncio.sync_session.expire_on_commit,
    )


def test_engine_of_the_other_world_is_refused(sqlite_url: str) -> None:
    """A factory names the engine that it wants, and its twin."""
    engine: Engine | AsyncEngine = create_engine(sqlite_url)
    with pytest.raises(ArgumentError, match=r"or use sessionmaker\(\)\.$"):
        async_sessionmaker(engine)  # type: ignore[arg-type]
    engine = create_async_engine(sqlite_url)
    with pytest.raises(ArgumentError, match=r"or use async_sessionmaker\(\)\.$"):
        sessionmaker(engine)  # type: ignore[arg-type]


def test_statement_that_begins_a_transaction_is_sent_first(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a database is told by a statement, it is the transaction's first."""

    def plan(*_: object, **__: object) -> Plan:
        return Plan({}, text("SELECT 'first'"))

    monkeypatch.setattr("async_layers.connection.plan_transaction", plan)
    monkeypatch.setattr("async_layers.session.plan_unit_of_work", plan)
    with engine_scope(sqlite_url) as engine, trace(engine) as seen:
        with transaction(engine, read_only=True):
            pass
        with unit_of_work(sessionmaker(engine), read_only=True):
            pass
    assert 2 == str(seen).count("BEGIN\nSELECT\n")


async def test_statement_that_begins_a_transaction_is_sent_first_under_asyncio(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a database is told by a statement, it is the transaction's first."""

    def plan(*_: object, **__: object) -> Plan:
        return Plan({}, text("SELECT 'first'"))

    monkeypatch.setattr("async_layers.connection_async.plan_transaction", plan)
    monkeypatch.setattr("async_layers.session_async.plan_unit_of_work", plan)
    async with async_engine_scope(sqlite_url) as engine:
        with trace(engine) as seen:
            async with async_transaction(engine, read_only=True):
                pass
            async with async_unit_of_work(async_sessionmaker(engine), read_only=True):
                pass
    assert 2 == str(seen).count("BEGIN\nSELECT\n")


def test_load_in_a_savepoint_that_is_over_is_refused(asyncpg_place: Scratch) -> None:
    """Rows of a COPY go where the connection's statements go, or nowhere."""
    asyncpg_place.fresh()
    with engine_scope(asyncpg_place.urls["sync"]) as engine:
        with transaction(engine) as connection, savepoint(connection) as nested:
            nested.rollback()
            with pytest.raises(InvalidRequestError, match="closed transaction"):
                insert_rows(connection, ACCOUNT, ROWS)


async def test_load_after_a_hidden_begin_is_committed(asyncpg_place: Scratch) -> None:
    """A COPY is part of SQLAlchemy's transaction, whatever the driver began before."""
    asyncpg_place.fresh()
    async with async_engine_scope(asyncpg_place.urls["async"]) as engine:
        async with engine.connect() as connection:
            await connection.get_isolation_level()
            assert 2500 == await async_insert_rows(connection, ACCOUNT, ROWS)
            await connection.commit()
        async with engine.connect() as connection:
            assert 2502 == await connection.scalar(select(func.count(Account.id)))


def test_options_beside_an_engine_are_refused(sqlite_url: str) -> None:
    """An engine that is open takes no more options, and says so."""
    refused = pytest.raises(ArgumentError, match="connect_timeout is refused: seen bes")
    with refused, engine_scope(create_engine(sqlite_url), connect_timeout=3.0):
        pytest.fail("there is no engine")


async def test_options_beside_an_engine_are_refused_under_asyncio(
    sqlite_url: str,
) -> None:
    """An engine that is open takes no more options, and says so."""
    engine = create_async_engine(sqlite_url)
    with pytest.raises(ArgumentError, match="connect_timeout is refused: seen beside"):
        async with async_engine_scope(engine, connect_timeout=3.0):
            pytest.fail("there is no engine")


def test_wait_bounds_a_server_that_says_nothing() -> None:
    """A server that takes the connection and is silent is not waited for longer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        start = time.monotonic()
        with pytest.raises(OperationalError), engine_scope(url, wait=1.0):
            pytest.fail("the block does not begin")
        assert time.monotonic() - start < 10


async def test_wait_bounds_a_server_that_says_nothing_under_asyncio() -> None:
    """A server that takes the connection and is silent is not waited for longer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        start = time.monotonic()
        with pytest.raises(OperationalError):
            async with async_engine_scope(url, wait=0.3):
                pytest.fail("the block does not begin")
        assert time.monotonic() - start < 10


def test_stream_of_a_text_comes_in_batches(place: Scratch) -> None:
    """A statement in words is streamed like one that is built."""
    words = text("SELECT id FROM account ORDER BY id").columns(Account.id)
    with engine_scope(place.urls["sync"]) as engine:
        with transaction(engine) as connection:
            insert_rows(connection, ACCOUNT, ROWS)
        with stream(engine, words, batch=1000) as batches:
            assert [1000, 1000, 502] == [len(rows) for rows in batches]


def interrupts() -> Iterator[Mapping[str, object]]:
    """Yield rows until somebody presses Ctrl-C."""
    yield from ROWS
    raise KeyboardInterrupt


def test_load_that_is_interrupted_is_undone(place: Scratch) -> None:
    """Ctrl-C in a load travels on, keeps no row, and leaves a pool that works."""
    with engine_scope(place.urls["sync"]) as engine:
        with pytest.raises(KeyboardInterrupt), transaction(engine) as connection:
            insert_rows(connection, ACCOUNT, interrupts())
        with transaction(engine) as connection:
            assert 2 == connection.scalar(select(func.count(Account.id)))


def test_row_of_defaults_alone_is_inserted(asyncpg_place: Scratch) -> None:
    """A column that is left out is the server's to fill, in a COPY too."""
    asyncpg_place.fresh()
    table = Table("filled", MetaData(), Column("id", Integer), Column("n", Integer))
    with engine_scope(asyncpg_place.urls["sync"]) as engine:
        with transaction(engine) as connection:
            table.create(connection)
            assert 2 == insert_rows(connection, table, [{"id": 1}, {"id": 2}])
            assert 1 == insert_rows(connection, table, [{}])
            rows = connection.execute(select(table).order_by(table.c.id)).all()
    assert [(1, None), (2, None), (None, None)] == [tuple(row) for row in rows]

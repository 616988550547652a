"""Facts in which the two worlds differ today, each beside what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    Table,
    event,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import INT4RANGE
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import async_scoped_session
from sqlalchemy.orm import selectinload
from sqlalchemy.pool import QueuePool

from async_layers import (
    async_engine_scope,
    async_stream,
    async_transaction,
    create_async_engine,
)
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

NOTES = Table("note", MetaData(), Column("id", Integer), prefixes=["TEMPORARY"])

# The engine


async def listen_to_engine(engine: AsyncEngine) -> int:
    """A listener on an engine hears its commits."""
    commits = list[Connection]()
    event.listen(engine, "commit", commits.append)
    async with engine.begin() as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    return len(commits)


async def listen_to_engine_instead(engine: AsyncEngine) -> int:
    """A listener on the engine that does the work hears its commits."""
    commits = list[Connection]()
    event.listen(engine.sync_engine, "commit", commits.append)
    async with engine.begin() as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    return len(commits)


async def driver_of_the_other_world(url: URL) -> str:
    """A driver of the other world is refused with the name of its partner."""
    try:
        return create_async_engine(url.set(drivername="sqlite+pysqlite")).driver
    except InvalidRequestError as refused:
        return str(refused)


async def driver_of_the_other_world_instead(url: URL) -> int | None:
    """A URL without a driver gets the one of its world."""
    async with (
        async_engine_scope(url.set(drivername="sqlite")) as engine,
        engine.connect() as connection,
    ):
        return await connection.scalar(select(func.count(Account.id)))


async def queue_pool(url: URL) -> int | None:
    """An engine takes the class of its pool."""
    async with (
        async_engine_scope(url, poolclass=QueuePool, pool_size=1) as engine,
        engine.connect() as connection,
    ):
        return await connection.scalar(select(func.count(Account.id)))


async def queue_pool_instead(url: URL) -> int | None:
    """An engine knows the class of its pool, and takes its size."""
    async with (
        async_engine_scope(url, pool_size=1) as engine,
        engine.connect() as connection,
    ):
        return await connection.scalar(select(func.count(Account.id)))


# The connection


async def create_all(engine: AsyncEngine) -> None:
    """The tables of a MetaData are created on a connection."""
    async with engine.connect() as connection:
        NOTES.metadata.create_all(connection)  # type: ignore[arg-type] # the fact
        await connection.commit()


async def create_all_instead(engine: AsyncEngine) -> None:
    """The tables of a MetaData are created by a blocking function."""
    async with engine.connect() as connection:
        await connection.run_sync(NOTES.metadata.create_all)
        await connection.commit()


async def begin_twophase(engine: AsyncEngine) -> None:
    """A connection begins a transaction that is prepared before it commits."""
    async with engine.connect() as connection:
        prepared = await cast("Any", connection).begin_twophase()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        await prepared.prepare()
        await prepared.commit()


async def execute_streamed(engine: AsyncEngine) -> list[int]:
    """A result that is executed with stream_results is read from the server."""
    async with engine.connect() as connection:
        result = await connection.execute(
            select(Account.id).order_by(Account.id),
            execution_options={"stream_results": True},
        )
        return list(result.scalars())


async def execute_streamed_instead(engine: AsyncEngine) -> list[int]:
    """A stream is read from the server in batches."""
    async with async_stream(engine, select(Account.id).order_by(Account.id)) as batches:
        return [row.id async for batch in batches for row in batch]


# The session


async def lazy_load(factory: async_sessionmaker[AsyncSession]) -> int:
    """A relationship that is not loaded is loaded when it is read."""
    async with factory() as session:
        account = await session.get_one(Account, 1)
        return sum(entry.amount for entry in account.entries)


async def lazy_load_instead(factory: async_sessionmaker[AsyncSession]) -> int:
    """A relationship that is asked for is loaded with its object."""
    async with factory() as session:
        loading = selectinload(Account.entries)
        account = await session.get_one(Account, 1, options=[loading])
        return sum(entry.amount for entry in account.entries)


async def expired_attribute(factory: async_sessionmaker[AsyncSession]) -> str:
    """An attribute that a commit expired is loaded when it is read."""
    async with factory(expire_on_commit=True) as session:
        account = await session.get_one(Account, 1)
        await session.commit()
        return account.owner


async def expired_attribute_instead(factory: async_sessionmaker[AsyncSession]) -> str:
    """An attribute that no commit expires is read as it was loaded."""
    async with factory(expire_on_commit=False) as session:
        account = await session.get_one(Account, 1)
        await session.commit()
        return account.owner


async def query(factory: async_sessionmaker[AsyncSession]) -> object:
    """A session makes a Query, which sends its statement when it is read."""
    async with factory() as session:
        found = cast("Any", session).query(Account)
        return found.filter_by(owner="anna").one().balance


async def query_instead(factory: async_sessionmaker[AsyncSession]) -> int:
    """A session sends a select() and returns its result."""
    async with factory() as session:
        found = await session.scalars(select(Account).filter_by(owner="anna"))
        return found.one().balance


async def bulk_insert(factory: async_sessionmaker[AsyncSession]) -> None:
    """A session inserts many rows without making objects of them."""
    rows = [
        {"id": 3, "owner": "carl", "balance": 10},
        {"id": 4, "owner": "dora", "balance": 20},
    ]
    async with factory() as session:
        await cast("Any", session).bulk_insert_mappings(Account, rows)
        await session.commit()


async def bulk_insert_instead(factory: async_sessionmaker[AsyncSession]) -> None:
    """A session executes an insert() of many rows without objects."""
    rows = [
        {"id": 3, "owner": "carl", "balance": 10},
        {"id": 4, "owner": "dora", "balance": 20},
    ]
    async with factory() as session:
        await session.execute(insert(Account), rows)
        await session.commit()


async def result_not_read(factory: async_sessionmaker[AsyncSession]) -> int:
    """A result that nobody reads leaves the loaded objects as they are."""
    async with factory() as session:
        anna = await session.get_one(Account, 1)
        await session.execute(text("UPDATE account SET balance = 90 WHERE id = 1"))
        await session.execute(select(Account).execution_options(populate_existing=True))
        return anna.balance


async def result_not_read_instead(factory: async_sessionmaker[AsyncSession]) -> int:
    """A result that is read populates the loaded objects."""
    async with factory() as session:
        anna = await session.get_one(Account, 1)
        await session.execute(text("UPDATE account SET balance = 90 WHERE id = 1"))
        (
            await session.scalars(
                select(Account).execution_options(populate_existing=True)
            )
        ).all()
        return anna.balance


async def scoped_session_of_a_thread(factory: async_sessionmaker[AsyncSession]) -> str:
    """A registry keeps one session for each thread."""
    sessions = async_scoped_session(factory)  # type: ignore[call-arg] # the fact
    account = await sessions.get_one(Account, 1)
    await sessions.remove()
    return account.owner


async def scoped_session_of_a_thread_instead(
    factory: async_sessionmaker[AsyncSession],
) -> str:
    """A session is handed to the function that has need of it."""

    async def owner(session: AsyncSession) -> str:
        account = await session.get_one(Account, 1)
        return account.owner

    async with factory() as session:
        return await owner(session)


# Values of PostgreSQL


async def zone_of_a_datetime(engine: AsyncEngine) -> str:
    """A datetime is returned in the zone of the transaction."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    async with async_transaction(engine) as connection:
        await connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        result = await connection.execute(
            select(literal(noon, DateTime(timezone=True)))
        )
        return result.scalar_one().isoformat()


async def zone_of_a_datetime_instead(engine: AsyncEngine) -> str:
    """A datetime is returned in whatever zone, and taken to that of the reader."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    async with async_transaction(engine) as connection:
        await connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        result = await connection.execute(
            select(literal(noon, DateTime(timezone=True)))
        )
        return result.scalar_one().astimezone(UTC).isoformat()


async def range_of_a_text(engine: AsyncEngine) -> str:
    """A text returns a range as its driver has it."""
    async with engine.connect() as connection:
        found = await connection.scalar(text("SELECT '[1,2)'::int4range AS span"))
        return type(found).__module__


async def range_of_a_text_instead(engine: AsyncEngine) -> str:
    """A text whose columns have types returns a range of SQLAlchemy's."""
    async with engine.connect() as connection:
        statement = text("SELECT '[1,2)'::int4range AS span").columns(span=INT4RANGE)
        return type(await connection.scalar(statement)).__module__


async def zero_in_a_text(engine: AsyncEngine) -> str | None:
    """A zero byte is refused in a text, here or by the server."""
    async with async_transaction(engine) as connection:
        return await connection.scalar(select(literal("a\0b")))


async def rows_of_several_statements(engine: AsyncEngine) -> int | None:
    """Several statements, told to the driver, have rows in blocking code alone."""
    async with engine.connect() as connection:
        return (await connection.exec_driver_sql("SELECT 1; SELECT 2")).scalar()


async def stream_after_its_transaction(engine: AsyncEngine) -> int:
    """The rows of a stream that are not here yet end with its transaction."""
    numbers = text("SELECT generate_series(1, 100)")
    async with engine.connect() as connection:
        result = await connection.stream(numbers)
        await result.fetchone()
        await connection.rollback()
        return len(await result.fetchmany(10))

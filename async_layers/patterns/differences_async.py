"""Facts in which the two worlds differ today, each beside what to write instead."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from sqlalchemy import (
    REAL,
    Column,
    Connection,
    DateTime,
    Double,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    bindparam,
    delete,
    event,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncResult, async_scoped_session
from sqlalchemy.orm import selectinload
from sqlalchemy.pool import QueuePool

from async_layers import (
    async_engine_scope,
    async_read,
    async_savepoint,
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


async def connection_refused(url: URL) -> None:
    """A port without a server refuses the connection."""
    async with (
        async_engine_scope(url.set(host="127.0.0.1", port=1)) as engine,
        engine.connect(),
    ):
        pass


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


async def stream_left_by_exception(engine: AsyncEngine) -> bool:
    """An exception that leaves the block of a streamed result closes it."""
    result: AsyncResult[int] | None = None
    closed = False
    async with engine.connect() as connection:
        try:
            async with connection.stream(select(Account.id)) as result:
                raise LookupError  # noqa: TRY301 - the fact is about it
        except LookupError:
            closed = result is not None and result.closed
        if result is not None:
            await result.close()
    return closed


async def stream_left_by_exception_instead(engine: AsyncEngine) -> None:
    """An exception that leaves a stream closes it and gives the connection back."""
    async with async_stream(engine, select(Account.id)):
        raise LookupError


async def error_while_streaming(engine: AsyncEngine) -> list[int]:
    """An error in a row of a stream has SQLAlchemy's class."""
    async with async_stream(engine, select(Account.id // (Account.id - 2))) as batches:
        return [quotient async for batch in batches for (quotient,) in batch]


async def error_while_streaming_instead(engine: AsyncEngine) -> object:
    """An error in a row of an executed result has SQLAlchemy's class."""
    try:
        async with engine.connect() as connection:
            return (
                await connection.scalars(select(Account.id // (Account.id - 2)))
            ).all()
    except DBAPIError as error:
        return getattr(error.driver_exception, "sqlstate", None)


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


async def row_deleted_elsewhere(factory: async_sessionmaker[AsyncSession]) -> None:
    """A flush of several objects notices that a row of theirs is gone."""
    async with factory() as session, factory() as other:
        accounts = (await session.scalars(select(Account).order_by(Account.id))).all()
        await other.execute(delete(Account).where(Account.owner == "bert"))
        await other.commit()
        for account in accounts:
            account.balance = 10
        await session.commit()


async def row_deleted_elsewhere_instead(
    factory: async_sessionmaker[AsyncSession],
) -> None:
    """A flush of one object notices that its row is gone."""
    async with factory() as session, factory() as other:
        accounts = (await session.scalars(select(Account).order_by(Account.id))).all()
        await other.execute(delete(Account).where(Account.owner == "bert"))
        await other.commit()
        for account in accounts:
            account.balance = 10
            await session.flush()
        await session.commit()


# Statements and values of PostgreSQL


async def several_statements(engine: AsyncEngine) -> None:
    """One text may hold several statements."""
    async with async_transaction(engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO account VALUES (3, 'carl', 10);"
                "INSERT INTO account VALUES (4, 'dora', 20)"
            )
        )


async def several_statements_instead(engine: AsyncEngine) -> None:
    """Each statement has a text of its own."""
    async with async_transaction(engine) as connection:
        await connection.execute(text("INSERT INTO account VALUES (3, 'carl', 10)"))
        await connection.execute(text("INSERT INTO account VALUES (4, 'dora', 20)"))


async def begin_in_a_text(engine: AsyncEngine) -> None:
    """A transaction that a text begins in autocommit ends with the block."""
    async with async_read(engine) as connection:
        await connection.execute(text("BEGIN"))
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    async with async_read(engine) as connection:
        await connection.execute(insert(Account).values(id=4, owner="dora", balance=20))


async def begin_in_a_text_instead(engine: AsyncEngine) -> None:
    """A transaction that SQLAlchemy begins ends with the block."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    async with async_read(engine) as connection:
        await connection.execute(insert(Account).values(id=4, owner="dora", balance=20))


async def commit_in_a_text(engine: AsyncEngine) -> None:
    """A statement after a COMMIT in a text belongs to a new transaction."""
    async with engine.connect() as connection:
        await connection.execute(text("COMMIT"))
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        await connection.rollback()


async def commit_in_a_text_instead(engine: AsyncEngine) -> None:
    """A statement after commit() belongs to a new transaction."""
    async with engine.connect() as connection:
        await connection.commit()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        await connection.rollback()


async def refused_value(engine: AsyncEngine) -> None:
    """A value that a column cannot hold fails the whole transaction."""
    async with async_transaction(engine) as connection:
        try:
            large = {"id": 3, "owner": "carl", "balance": 2**31}
            await connection.execute(insert(Account).values(large))
        except DBAPIError:
            small = {"id": 3, "owner": "carl", "balance": 2**31 - 1}
            await connection.execute(insert(Account).values(small))


async def refused_value_instead(engine: AsyncEngine) -> None:
    """A value that a column cannot hold fails the savepoint around it."""
    async with async_transaction(engine) as connection:
        try:
            async with async_savepoint(connection):
                large = {"id": 3, "owner": "carl", "balance": 2**31}
                await connection.execute(insert(Account).values(large))
        except DBAPIError:
            small = {"id": 3, "owner": "carl", "balance": 2**31 - 1}
            await connection.execute(insert(Account).values(small))


async def class_of_an_error(engine: AsyncEngine) -> None:
    """An error of the server has the class of its SQLSTATE."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1 / 0"))


async def class_of_an_error_instead(engine: AsyncEngine) -> object:
    """An error of the server is a DBAPIError, and the driver's has the SQLSTATE."""
    try:
        async with engine.connect() as connection:
            return await connection.scalar(text("SELECT 1 / 0"))
    except DBAPIError as error:
        return getattr(error.driver_exception, "sqlstate", None)


async def rowcount_of_many(engine: AsyncEngine) -> int:
    """An UPDATE with several sets of parameters counts the rows of all."""
    statement = update(Account).where(Account.id == bindparam("account"))
    rows = [{"account": 1, "balance": 10}, {"account": 2, "balance": 20}]
    async with async_transaction(engine) as connection:
        return (await connection.execute(statement, rows)).rowcount


async def rowcount_of_many_instead(engine: AsyncEngine) -> int:
    """An UPDATE with one set of parameters counts its rows."""
    statement = update(Account).where(Account.id == bindparam("account"))
    rows = [{"account": 1, "balance": 10}, {"account": 2, "balance": 20}]
    async with async_transaction(engine) as connection:
        return sum(
            [(await connection.execute(statement, row)).rowcount for row in rows]
        )


async def read_uncommitted(engine: AsyncEngine) -> object:
    """A transaction may ask for READ UNCOMMITTED."""
    async with async_transaction(
        engine, isolation_level="READ UNCOMMITTED"
    ) as connection:
        return await connection.scalar(text("SHOW transaction_isolation"))


async def read_uncommitted_instead(engine: AsyncEngine) -> object:
    """A transaction may ask for READ COMMITTED."""
    async with async_transaction(
        engine, isolation_level="READ COMMITTED"
    ) as connection:
        return await connection.scalar(text("SHOW transaction_isolation"))


async def untyped_parameter(engine: AsyncEngine) -> object:
    """A parameter of a text has the type of its value."""
    statement = text("SELECT 'number ' || :number")
    async with engine.connect() as connection:
        return await connection.scalar(statement, {"number": 7})


async def untyped_parameter_instead(engine: AsyncEngine) -> object:
    """A parameter of a text has the type that it is given."""
    number = bindparam("number", type_=Integer)
    statement = text("SELECT 'number ' || :number").bindparams(number)
    async with engine.connect() as connection:
        return await connection.scalar(statement, {"number": 7})


async def float_into_integer(engine: AsyncEngine) -> None:
    """A float is rounded to fit into an INTEGER."""
    async with async_transaction(engine) as connection:
        await connection.execute(
            insert(Account).values(id=3, owner="carl", balance=1.9)
        )


async def float_into_integer_instead(engine: AsyncEngine) -> None:
    """A float that is rounded before it is sent is an integer."""
    async with async_transaction(engine) as connection:
        balance = round(1.9)
        await connection.execute(
            insert(Account).values(id=3, owner="carl", balance=balance)
        )


async def float_into_numeric(engine: AsyncEngine) -> Decimal | None:
    """A float becomes the NUMERIC that has the digits of its repr()."""
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(0.1, Numeric()).cast(Numeric)))


async def float_into_numeric_instead(engine: AsyncEngine) -> Decimal | None:
    """A Decimal becomes the NUMERIC that has its digits."""
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(Decimal("0.1")).cast(Numeric)))


async def float_from_real(engine: AsyncEngine) -> float | None:
    """A REAL has the digits that it was written with."""
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(1.1).cast(REAL)))


async def float_from_real_instead(engine: AsyncEngine) -> float | None:
    """A DOUBLE PRECISION has the digits that it was written with."""
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(1.1).cast(Double)))


async def last_date(engine: AsyncEngine) -> str | None:
    """The last date of Python is a date like another."""
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(date.max).cast(String)))


async def last_date_instead(engine: AsyncEngine) -> str | None:
    """The last date but one of Python is a date like another."""
    last = date.max - timedelta(days=1)
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(last).cast(String)))


async def naive_datetime(engine: AsyncEngine) -> bool:
    """A datetime without a zone is meant in the zone of the transaction."""
    noon = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - the fact is about it
    marquesas = timezone(-timedelta(hours=9, minutes=30))
    async with async_transaction(engine) as connection:
        await connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        statement = select(literal(noon, DateTime(timezone=True)))
        return await connection.scalar(statement) == noon.replace(tzinfo=marquesas)


async def naive_datetime_instead(engine: AsyncEngine) -> bool:
    """A datetime with a zone means the same instant to everybody."""
    marquesas = timezone(-timedelta(hours=9, minutes=30))
    noon = datetime(2026, 1, 1, 12, tzinfo=marquesas)
    async with async_transaction(engine) as connection:
        await connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        statement = select(literal(noon, DateTime(timezone=True)))
        return await connection.scalar(statement) == noon


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

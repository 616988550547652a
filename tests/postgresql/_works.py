"""What is done through the proxy while it counts: each work takes an asyncio engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Integer, func, insert, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_layers import async_read, async_savepoint, async_stream

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class Base(DeclarativeBase):
    """The table of these works."""


class Item(Base):
    """A row that says little."""

    __tablename__ = "item"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


MANY = select(func.generate_series(1, 10_000).label("number"))
FEW = select(func.generate_series(1, 3).label("number"))
ROWS = [{"name": f"item {number}"} for number in range(1000)]


async def prepare(engine: AsyncEngine) -> None:
    """Create the table with one row, which leaves a connection in the pool."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(text("INSERT INTO item (name) VALUES ('first')"))


async def connect(engine: AsyncEngine) -> None:
    """Open a connection."""
    await engine.dispose()
    async with engine.connect():
        pass


async def check_out(engine: AsyncEngine) -> None:
    """Take a connection from the pool, and give it back."""
    async with engine.connect():
        pass


async def read(engine: AsyncEngine) -> None:
    """SELECT a row in a transaction, and roll back."""
    async with engine.connect() as connection:
        assert 1 == await connection.scalar(select(Item.id).where(Item.id == 1))


async def read_in_autocommit(engine: AsyncEngine) -> None:
    """SELECT a row in no transaction."""
    async with async_read(engine) as connection:
        assert 1 == await connection.scalar(select(Item.id).where(Item.id == 1))


async def read_float_as_integer(engine: AsyncEngine) -> None:
    """SELECT a float where the statement says INTEGER, which psycopg lets be cast."""
    async with engine.connect() as connection:
        await connection.scalar(select(literal(2.5, Integer)))


async def read_serializable(engine: AsyncEngine) -> None:
    """SELECT a row in a transaction of another isolation level, and roll back."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE")
        await connection.scalar(select(Item.id).where(Item.id == 1))


async def write(engine: AsyncEngine) -> None:
    """INSERT a row and commit."""
    async with engine.begin() as connection:
        await connection.execute(insert(Item), {"name": "one"})


async def write_many(engine: AsyncEngine) -> None:
    """INSERT 1,000 rows by executemany and commit."""
    async with engine.begin() as connection:
        await connection.execute(insert(Item), ROWS)


async def read_many(engine: AsyncEngine) -> None:
    """SELECT 10,000 rows."""
    async with engine.connect() as connection:
        assert 10_000 == len((await connection.execute(MANY)).all())


async def stream(engine: AsyncEngine) -> None:
    """Stream 10,000 rows, 1,000 a batch."""
    async with async_stream(engine, MANY) as batches:
        assert [1000] * 10 == [len(batch) async for batch in batches]


async def stream_few(engine: AsyncEngine) -> None:
    """Stream three rows, 1,000 a batch."""
    async with async_stream(engine, FEW) as batches:
        assert [3] == [len(batch) async for batch in batches]


async def stream_one(engine: AsyncEngine) -> None:
    """Stream a large result and leave after its first row."""
    async with engine.connect() as connection:
        result = await connection.stream(MANY)
        assert await result.fetchone()
        await result.close()


async def savepoint(engine: AsyncEngine) -> None:
    """Begin and release a savepoint."""
    async with engine.begin() as connection, async_savepoint(connection):
        pass


async def create_and_drop(engine: AsyncEngine) -> None:
    """CREATE a table and DROP it."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE other (id int)"))
        await connection.execute(text("DROP TABLE other"))


async def commit_nothing(engine: AsyncEngine) -> None:
    """Commit a transaction in which nothing was said."""
    async with engine.begin():
        pass


async def get(engine: AsyncEngine) -> None:
    """Load an object."""
    async with AsyncSession(engine) as session:
        assert await session.get(Item, 1)


async def add(engine: AsyncEngine) -> None:
    """Add an object and commit."""
    async with AsyncSession(engine) as session, session.begin():
        session.add(Item(name="added"))

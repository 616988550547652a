"""Do one small task on each of SQLAlchemy's layers, and see what each layer does.

A copy of a book arrives at a library: once by the engine, once by the
connection, once by the session.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from _program import database
from _tables_async import async_tables
from sqlalchemy import String, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_layers import (
    async_engine_scope,
    async_read,
    async_savepoint,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
    trace,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_layers import Trace


class Base(DeclarativeBase):
    """What the classes of this program have in common: their metadata."""


class Book(Base):
    """A book of the library, and how many copies of it there are."""

    __tablename__ = "example_book"

    title: Mapped[str] = mapped_column(String(50), primary_key=True)
    copies: Mapped[int]


ONE_MORE = update(Book).where(Book.title == "Emma").values(copies=Book.copies + 1)


async def by_engine(engine: AsyncEngine) -> None:
    """Let the engine lend a connection, and take it back when the block ends."""
    async with engine.begin() as connection:
        await connection.execute(ONE_MORE)


async def by_connection(engine: AsyncEngine) -> None:
    """Let the connection hold a transaction, with a savepoint in it."""
    async with async_transaction(engine) as connection, async_savepoint(connection):
        await connection.execute(ONE_MORE)


async def by_session(engine: AsyncEngine) -> None:
    """Let the session find out which statements the changed object needs."""
    async with async_unit_of_work(async_sessionmaker(engine)) as session:
        book = await session.get_one(Book, "Emma")
        book.copies += 1


def show(title: str, seen: Trace) -> None:
    """Print what each layer did, in order."""
    print(title)
    for event in seen.events:
        print(f"  {event.layer:<12}{event}")


async def main(url: str) -> None:
    """Do the task on each layer."""
    async with (
        async_engine_scope(url, connect_timeout=5) as engine,
        async_tables(engine, Base.metadata),
    ):
        async with async_unit_of_work(async_sessionmaker(engine)) as session:
            session.add(Book(title="Emma", copies=1))
        with trace(engine) as seen:
            await by_engine(engine)
        show("By the engine", seen)
        with trace(engine) as seen:
            await by_connection(engine)
        show("By the connection", seen)
        with trace(engine) as seen:
            await by_session(engine)
        show("By the session", seen)
        async with async_read(engine) as connection:
            copies = await connection.scalar(select(Book.copies))
        print(f"Copies of Emma: {copies}")


if __name__ == "__main__":
    with database(__doc__) as url:
        asyncio.run(main(url))

"""Do one small task on each of SQLAlchemy's layers, and see what each layer does.

A copy of a book arrives at a library: once by the engine, once by the
connection, once by the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from _program import database
from _tables import tables
from sqlalchemy import String, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_layers import (
    engine_scope,
    read,
    savepoint,
    sessionmaker,
    trace,
    transaction,
    unit_of_work,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from async_layers import Trace


class Base(DeclarativeBase):
    """What the classes of this program have in common: their metadata."""


class Book(Base):
    """A book of the library, and how many copies of it there are."""

    __tablename__ = "example_book"

    title: Mapped[str] = mapped_column(String(50), primary_key=True)
    copies: Mapped[int]


ONE_MORE = update(Book).where(Book.title == "Emma").values(copies=Book.copies + 1)


def by_engine(engine: Engine) -> None:
    """Let the engine lend a connection, and take it back when the block ends."""
    with engine.begin() as connection:
        connection.execute(ONE_MORE)


def by_connection(engine: Engine) -> None:
    """Let the connection hold a transaction, with a savepoint in it."""
    with transaction(engine) as connection, savepoint(connection):
        connection.execute(ONE_MORE)


def by_session(engine: Engine) -> None:
    """Let the session find out which statements the changed object needs."""
    with unit_of_work(sessionmaker(engine)) as session:
        book = session.get_one(Book, "Emma")
        book.copies += 1


def show(title: str, seen: Trace) -> None:
    """Print what each layer did, in order."""
    print(title)
    for event in seen.events:
        print(f"  {event.layer:<12}{event}")


def main(url: str) -> None:
    """Do the task on each layer."""
    with (
        engine_scope(url, connect_timeout=5) as engine,
        tables(engine, Base.metadata),
    ):
        with unit_of_work(sessionmaker(engine)) as session:
            session.add(Book(title="Emma", copies=1))
        with trace(engine) as seen:
            by_engine(engine)
        show("By the engine", seen)
        with trace(engine) as seen:
            by_connection(engine)
        show("By the connection", seen)
        with trace(engine) as seen:
            by_session(engine)
        show("By the session", seen)
        with read(engine) as connection:
            copies = connection.scalar(select(Book.copies))
        print(f"Copies of Emma: {copies}")


if __name__ == "__main__":
    with database(__doc__) as url:
        main(url)

"""What is measured on SQLite, in blocking code: each a context and a unit of work."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from tests.benchmarks._table import (
    ALL,
    INSERT,
    LOADED_AT_ONCE,
    ONE,
    Item,
    one_row,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine


@contextmanager
def select(engine: Engine) -> Iterator[Callable[[], None]]:
    """SELECT a row on a connection that stays open."""
    with engine.connect() as connection:

        def unit() -> None:
            connection.execute(ONE).all()

        yield unit


@contextmanager
def connect(engine: Engine) -> Iterator[Callable[[], None]]:
    """Take a connection from the pool, SELECT a row, give it back."""

    def unit() -> None:
        with engine.connect() as connection:
            connection.execute(ONE).all()

    yield unit


@contextmanager
def autocommit(engine: Engine) -> Iterator[Callable[[], None]]:
    """Do the same in autocommit."""

    def unit() -> None:
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(ONE).all()

    yield unit


@contextmanager
def get(engine: Engine) -> Iterator[Callable[[], None]]:
    """Load an object by its primary key, in a session of its own."""

    def unit() -> None:
        with Session(engine) as session:
            session.get(Item, 1)

    yield unit


@contextmanager
def insert(engine: Engine) -> Iterator[Callable[[], None]]:
    """Take a connection, INSERT a row, COMMIT, give it back."""
    numbers = count(1)

    def unit() -> None:
        with engine.connect() as connection:
            connection.execute(INSERT, one_row(next(numbers)))
            connection.commit()

    yield unit


@contextmanager
def many(engine: Engine) -> Iterator[Callable[[], None]]:
    """INSERT rows with executemany, ROLLBACK, on a connection that stays open."""
    with engine.connect() as connection:

        def unit() -> None:
            connection.execute(INSERT, LOADED_AT_ONCE)
            connection.rollback()

        yield unit


@contextmanager
def stream(engine: Engine) -> Iterator[Callable[[], None]]:
    """Read all rows in batches."""

    def unit() -> None:
        with (
            engine.connect() as connection,
            connection.execute(ALL, execution_options={"yield_per": 1000}) as result,
        ):
            for _ in result.partitions():
                pass

    yield unit


UNITS = {
    "select": select,
    "connect": connect,
    "autocommit": autocommit,
    "get": get,
    "insert": insert,
    "many": many,
    "stream": stream,
}

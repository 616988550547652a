"""Each blocking helper beside the same work in plain SQLAlchemy."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy
import sqlalchemy.orm
from sqlalchemy import insert

import async_layers
from tests.benchmarks._measure import Case
from tests.benchmarks._table import (
    ALL,
    LOADED,
    ONE,
    Base,
    Item,
    Loaded,
    create,
    drop,
    rows,
    set_up_by_hand,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

# What a scope may cost, with its outcome, its guard and its holder.
SCOPE = 1.08


def times(function: Callable[[], object]) -> Callable[[int], None]:
    """Return a function that calls another so many times."""

    def call(count: int) -> None:
        for _ in range(count):
            function()

    return call


def by_hand(url: str) -> Engine:
    """Open an engine as the documentation says."""
    engine = sqlalchemy.create_engine(async_layers.create_engine(url).url)
    set_up_by_hand(engine)
    return engine


@contextmanager
def cases(url: str) -> Iterator[list[Case]]:
    """Lend the comparisons, with engines that are open and tables that are full."""
    ours, theirs = async_layers.create_engine(url), by_hand(url)
    with ours.begin() as connection:
        create(connection)
    try:
        yield [
            opening(ours),
            transactions(ours, theirs),
            runs(ours),
            reads(ours, theirs),
            savepoints(ours, theirs),
            streams(ours, theirs),
            loads(ours, theirs),
            factories(ours, theirs),
            units_of_work(ours, theirs),
        ]
    finally:
        theirs.dispose()
        with ours.begin() as connection:
            drop(connection)
        ours.dispose()


def opening(ours: Engine) -> Case:
    """create_engine, without connecting."""
    url = ours.url.render_as_string(hide_password=False)

    def hand() -> None:
        set_up_by_hand(sqlalchemy.create_engine(url))

    return Case(
        "create_engine", times(lambda: async_layers.create_engine(url)), times(hand)
    )


def transactions(ours: Engine, theirs: Engine) -> Case:
    """transaction() beside engine.begin(), with one short SELECT in it."""

    def helper() -> None:
        with async_layers.transaction(ours) as connection:
            connection.execute(ONE).all()

    def hand() -> None:
        with theirs.begin() as connection:
            connection.execute(ONE).all()

    return Case("transaction", times(helper), times(hand), target=SCOPE)


def runs(ours: Engine) -> Case:
    """run_transaction() beside transaction(), where it is not needed."""

    def function(connection: Connection) -> None:
        connection.execute(ONE).all()

    def helper() -> None:
        async_layers.run_transaction(ours, function)

    def hand() -> None:
        with async_layers.transaction(ours) as connection:
            function(connection)

    return Case("run_transaction", times(helper), times(hand))


def reads(ours: Engine, theirs: Engine) -> Case:
    """read() beside connect() in autocommit, with one short SELECT in it."""

    def helper() -> None:
        with async_layers.read(ours) as connection:
            connection.execute(ONE).all()

    def hand() -> None:
        with theirs.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(ONE).all()

    return Case("read", times(helper), times(hand), target=SCOPE)


def savepoints(ours: Engine, theirs: Engine) -> Case:
    """savepoint() beside begin_nested(), 10 in a transaction of each."""

    def helper() -> None:
        with ours.begin() as connection:
            for _ in range(10):
                with async_layers.savepoint(connection):
                    connection.execute(ONE).all()

    def hand() -> None:
        with theirs.begin() as connection:
            for _ in range(10):
                with connection.begin_nested():
                    connection.execute(ONE).all()

    return Case("savepoint", times(helper), times(hand))


def streams(ours: Engine, theirs: Engine) -> Case:
    """stream() beside yield_per and partitions(), over all rows."""

    def helper() -> None:
        with async_layers.stream(ours, ALL) as batches:
            for _ in batches:
                pass

    def hand() -> None:
        with (
            theirs.connect() as connection,
            connection.execute(ALL, execution_options={"yield_per": 1000}) as result,
        ):
            for _ in result.partitions():
                pass

    return Case("stream", times(helper), times(hand))


def loads(ours: Engine, theirs: Engine) -> Case:
    """insert_rows() beside an INSERT of many rows, rolled back."""
    table, given = Base.metadata.tables[Loaded.__tablename__], rows(LOADED)

    def helper() -> None:
        with ours.connect() as connection, connection.begin() as transaction:
            async_layers.insert_rows(connection, table, given)
            transaction.rollback()

    def hand() -> None:
        with theirs.connect() as connection, connection.begin() as transaction:
            connection.execute(insert(table), given)
            transaction.rollback()

    return Case("insert_rows", times(helper), times(hand))


def factories(ours: Engine, theirs: Engine) -> Case:
    """sessionmaker(), and one session of it."""

    def helper() -> None:
        async_layers.sessionmaker(ours)().close()

    def hand() -> None:
        sqlalchemy.orm.sessionmaker(theirs, expire_on_commit=False)().close()

    return Case("sessionmaker", times(helper), times(hand))


def units_of_work(ours: Engine, theirs: Engine) -> Case:
    """unit_of_work() beside a session and its begin(), with one object loaded."""
    factory = async_layers.sessionmaker(ours)
    plain = sqlalchemy.orm.sessionmaker(theirs, expire_on_commit=False)

    def helper() -> None:
        with async_layers.unit_of_work(factory) as session:
            session.get_one(Item, 1)

    def hand() -> None:
        with plain() as session, session.begin():
            session.get_one(Item, 1)

    return Case("unit_of_work", times(helper), times(hand), target=SCOPE)

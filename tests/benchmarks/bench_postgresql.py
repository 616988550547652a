"""Our blocking dialect of PostgreSQL beside SQLAlchemy's own: the same work on both."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tests.benchmarks._measure import Case
from tests.benchmarks._postgresql import (
    ENTRIES,
    ENTRY,
    FIVE,
    INSERT,
    ONE,
    PAIRS,
    TEXT,
    WIDE,
    Entry,
    Event,
    create,
    drop,
    open_ours,
    open_stock,
)
from tests.benchmarks.bench_helpers import times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from sqlalchemy import Engine, Executable

    Unit = Callable[[], None]
    Work = Callable[[Engine], AbstractContextManager[Unit]]

TARGET = 1.02
ID = {"id": 1}


def _reading(statement: Executable, parameters: dict[str, Any] | None = None) -> Work:
    """Return the work that executes a statement on a connection that stays open."""

    @contextmanager
    def work(engine: Engine) -> Iterator[Unit]:
        with engine.connect() as connection:

            def unit() -> None:
                connection.execute(statement, parameters).all()

            yield unit

    return work


@contextmanager
def connect(engine: Engine) -> Iterator[Unit]:
    """Take a connection from the pool, SELECT a row, give it back."""

    def unit() -> None:
        with engine.connect() as connection:
            connection.execute(ONE).all()

    yield unit


@contextmanager
def autocommit(engine: Engine) -> Iterator[Unit]:
    """Do the same in autocommit."""
    own = engine.execution_options(isolation_level="AUTOCOMMIT")

    def unit() -> None:
        with own.connect() as connection:
            connection.execute(ONE).all()

    yield unit


@contextmanager
def get(engine: Engine) -> Iterator[Unit]:
    """Load an object by its primary key, in a session of its own."""

    def unit() -> None:
        with Session(engine) as session:
            session.get(Event, 1)

    yield unit


@contextmanager
def insert(engine: Engine) -> Iterator[Unit]:
    """INSERT a row and COMMIT."""

    def unit() -> None:
        with engine.begin() as connection:
            connection.execute(INSERT, ENTRY)

    yield unit


@contextmanager
def add(engine: Engine) -> Iterator[Unit]:
    """Add an object in a session and COMMIT."""

    def unit() -> None:
        with Session(engine) as session, session.begin():
            session.add(Entry(**ENTRY))

    yield unit


@contextmanager
def many(engine: Engine) -> Iterator[Unit]:
    """INSERT rows with executemany, ROLLBACK, on a connection that stays open."""
    with engine.connect() as connection:

        def unit() -> None:
            connection.execute(INSERT, ENTRIES)
            connection.rollback()

        yield unit


@contextmanager
def savepoint(engine: Engine) -> Iterator[Unit]:
    """Begin and release a savepoint, on a connection that stays open."""
    with engine.connect() as connection:

        def unit() -> None:
            with connection.begin_nested():
                pass

        yield unit


@contextmanager
def stream(engine: Engine) -> Iterator[Unit]:
    """Read all rows in batches."""

    def unit() -> None:
        with (
            engine.connect() as connection,
            connection.execute(PAIRS, execution_options={"yield_per": 1000}) as result,
        ):
            for _ in result.partitions():
                pass

    yield unit


WORKS: dict[str, Work] = {
    "SELECT": _reading(ONE),
    "SELECT, 5 parameters": _reading(FIVE),
    "text()": _reading(TEXT, ID),
    "connect, SELECT": connect,
    "autocommit SELECT": autocommit,
    "session.get": get,
    "INSERT, COMMIT": insert,
    "session.add, COMMIT": add,
    "savepoint": savepoint,
    "INSERT 1,000 rows": many,
    "SELECT 10,000 rows": _reading(PAIRS),
    "10,000 rows, 5 types": _reading(WIDE),
    "stream 10,000 rows": stream,
    "new connection, SELECT": connect,
}
NEW = "new connection, SELECT"  # its engines keep none


@contextmanager
def cases(url: str) -> Iterator[list[Case]]:
    """Lend the comparisons, with engines that are open and tables that are full."""
    with ExitStack() as opened:

        def lend(engine: Engine) -> Engine:
            opened.callback(engine.dispose)
            return engine

        ours, theirs = lend(open_ours(url)), lend(open_stock(url))
        new = lend(open_ours(url, poolclass=NullPool))
        stock = lend(open_stock(url, poolclass=NullPool))
        with theirs.begin() as connection:
            create(connection)
        try:
            with ExitStack() as working:
                found = list[Case]()
                for name, work in WORKS.items():
                    sides = (new, stock) if name == NEW else (ours, theirs)
                    left, right = [
                        times(working.enter_context(work(side))) for side in sides
                    ]
                    found.append(Case(name, left, right, TARGET))
                yield found
        finally:
            with theirs.begin() as connection:
                drop(connection)

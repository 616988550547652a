"""Facts in which the two worlds differ today, each beside what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

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
from sqlalchemy.orm import scoped_session, selectinload
from sqlalchemy.pool import QueuePool

from async_layers import (
    create_engine,
    engine_scope,
    stream,
    transaction,
)
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.orm import Session, sessionmaker

NOTES = Table("note", MetaData(), Column("id", Integer), prefixes=["TEMPORARY"])

# The engine


def listen_to_engine(engine: Engine) -> int:
    """A listener on an engine hears its commits."""
    commits = list[Connection]()
    event.listen(engine, "commit", commits.append)
    with engine.begin() as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    return len(commits)


def listen_to_engine_instead(engine: Engine) -> int:
    """A listener on the engine that does the work hears its commits."""
    commits = list[Connection]()
    event.listen(engine, "commit", commits.append)
    with engine.begin() as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    return len(commits)


def driver_of_the_other_world(url: URL) -> str:
    """A driver of the other world is refused with the name of its partner."""
    try:
        return create_engine(url.set(drivername="sqlite+aiosqlite")).driver
    except InvalidRequestError as refused:
        return str(refused)


def driver_of_the_other_world_instead(url: URL) -> int | None:
    """A URL without a driver gets the one of its world."""
    with (
        engine_scope(url.set(drivername="sqlite")) as engine,
        engine.connect() as connection,
    ):
        return connection.scalar(select(func.count(Account.id)))


def queue_pool(url: URL) -> int | None:
    """An engine takes the class of its pool."""
    with (
        engine_scope(url, poolclass=QueuePool, pool_size=1) as engine,
        engine.connect() as connection,
    ):
        return connection.scalar(select(func.count(Account.id)))


def queue_pool_instead(url: URL) -> int | None:
    """An engine knows the class of its pool, and takes its size."""
    with (
        engine_scope(url, pool_size=1) as engine,
        engine.connect() as connection,
    ):
        return connection.scalar(select(func.count(Account.id)))


# The connection


def create_all(engine: Engine) -> None:
    """The tables of a MetaData are created on a connection."""
    with engine.connect() as connection:
        NOTES.metadata.create_all(connection)
        connection.commit()


def create_all_instead(engine: Engine) -> None:
    """The tables of a MetaData are created by a blocking function."""
    with engine.connect() as connection:
        NOTES.metadata.create_all(connection)
        connection.commit()


def begin_twophase(engine: Engine) -> None:
    """A connection begins a transaction that is prepared before it commits."""
    with engine.connect() as connection:
        prepared = connection.begin_twophase()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        prepared.prepare()
        prepared.commit()


def execute_streamed(engine: Engine) -> list[int]:
    """A result that is executed with stream_results is read from the server."""
    with engine.connect() as connection:
        result = connection.execute(
            select(Account.id).order_by(Account.id),
            execution_options={"stream_results": True},
        )
        return list(result.scalars())


def execute_streamed_instead(engine: Engine) -> list[int]:
    """A stream is read from the server in batches."""
    with stream(engine, select(Account.id).order_by(Account.id)) as batches:
        return [row.id for batch in batches for row in batch]


# The session


def lazy_load(factory: sessionmaker[Session]) -> int:
    """A relationship that is not loaded is loaded when it is read."""
    with factory() as session:
        account = session.get_one(Account, 1)
        return sum(entry.amount for entry in account.entries)


def lazy_load_instead(factory: sessionmaker[Session]) -> int:
    """A relationship that is asked for is loaded with its object."""
    with factory() as session:
        loading = selectinload(Account.entries)
        account = session.get_one(Account, 1, options=[loading])
        return sum(entry.amount for entry in account.entries)


def expired_attribute(factory: sessionmaker[Session]) -> str:
    """An attribute that a commit expired is loaded when it is read."""
    with factory(expire_on_commit=True) as session:
        account = session.get_one(Account, 1)
        session.commit()
        return account.owner


def expired_attribute_instead(factory: sessionmaker[Session]) -> str:
    """An attribute that no commit expires is read as it was loaded."""
    with factory(expire_on_commit=False) as session:
        account = session.get_one(Account, 1)
        session.commit()
        return account.owner


def query(factory: sessionmaker[Session]) -> object:
    """A session makes a Query, which sends its statement when it is read."""
    with factory() as session:
        found = session.query(Account)
        return found.filter_by(owner="anna").one().balance


def query_instead(factory: sessionmaker[Session]) -> int:
    """A session sends a select() and returns its result."""
    with factory() as session:
        found = session.scalars(select(Account).filter_by(owner="anna"))
        return found.one().balance


def bulk_insert(factory: sessionmaker[Session]) -> None:
    """A session inserts many rows without making objects of them."""
    rows = [
        {"id": 3, "owner": "carl", "balance": 10},
        {"id": 4, "owner": "dora", "balance": 20},
    ]
    with factory() as session:
        session.bulk_insert_mappings(Account, rows)
        session.commit()


def bulk_insert_instead(factory: sessionmaker[Session]) -> None:
    """A session executes an insert() of many rows without objects."""
    rows = [
        {"id": 3, "owner": "carl", "balance": 10},
        {"id": 4, "owner": "dora", "balance": 20},
    ]
    with factory() as session:
        session.execute(insert(Account), rows)
        session.commit()


def result_not_read(factory: sessionmaker[Session]) -> int:
    """A result that nobody reads leaves the loaded objects as they are."""
    with factory() as session:
        anna = session.get_one(Account, 1)
        session.execute(text("UPDATE account SET balance = 90 WHERE id = 1"))
        session.execute(select(Account).execution_options(populate_existing=True))
        return anna.balance


def result_not_read_instead(factory: sessionmaker[Session]) -> int:
    """A result that is read populates the loaded objects."""
    with factory() as session:
        anna = session.get_one(Account, 1)
        session.execute(text("UPDATE account SET balance = 90 WHERE id = 1"))
        session.scalars(select(Account).execution_options(populate_existing=True)).all()
        return anna.balance


def scoped_session_of_a_thread(factory: sessionmaker[Session]) -> str:
    """A registry keeps one session for each thread."""
    sessions = scoped_session(factory)
    account = sessions.get_one(Account, 1)
    sessions.remove()
    return account.owner


def scoped_session_of_a_thread_instead(factory: sessionmaker[Session]) -> str:
    """A session is handed to the function that has need of it."""

    def owner(session: Session) -> str:
        account = session.get_one(Account, 1)
        return account.owner

    with factory() as session:
        return owner(session)


# Values of PostgreSQL


def zone_of_a_datetime(engine: Engine) -> str:
    """A datetime is returned in the zone of the transaction."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        result = connection.execute(select(literal(noon, DateTime(timezone=True))))
        return result.scalar_one().isoformat()


def zone_of_a_datetime_instead(engine: Engine) -> str:
    """A datetime is returned in whatever zone, and taken to that of the reader."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        result = connection.execute(select(literal(noon, DateTime(timezone=True))))
        return result.scalar_one().astimezone(UTC).isoformat()


def range_of_a_text(engine: Engine) -> str:
    """A text returns a range as its driver has it."""
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT '[1,2)'::int4range AS span"))
        return type(found).__module__


def range_of_a_text_instead(engine: Engine) -> str:
    """A text whose columns have types returns a range of SQLAlchemy's."""
    with engine.connect() as connection:
        statement = text("SELECT '[1,2)'::int4range AS span").columns(span=INT4RANGE)
        return type(connection.scalar(statement)).__module__


def zero_in_a_text(engine: Engine) -> str | None:
    """A zero byte is refused in a text, here or by the server."""
    with transaction(engine) as connection:
        return connection.scalar(select(literal("a\0b")))


def rows_of_several_statements(engine: Engine) -> int | None:
    """Several statements, told to the driver, have rows in blocking code alone."""
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT 1; SELECT 2").scalar()


def stream_after_its_transaction(engine: Engine) -> int:
    """The rows of a stream that are not here yet end with its transaction."""
    numbers = text("SELECT generate_series(1, 100)")
    with engine.connect() as connection:
        result = connection.execute(numbers, execution_options={"stream_results": True})
        result.fetchone()
        connection.rollback()
        return len(result.fetchmany(10))

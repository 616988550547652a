"""Facts in which the two worlds differ today, each beside what to write instead."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import (
    REAL,
    Column,
    Connection,
    DateTime,
    Double,
    Integer,
    MetaData,
    Numeric,
    Result,
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
from sqlalchemy.orm import scoped_session, selectinload
from sqlalchemy.pool import QueuePool

from async_layers import (
    create_engine,
    engine_scope,
    read,
    savepoint,
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


def connection_refused(url: URL) -> None:
    """A port without a server refuses the connection."""
    with (
        engine_scope(url.set(host="127.0.0.1", port=1)) as engine,
        engine.connect(),
    ):
        pass


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


def stream_left_by_exception(engine: Engine) -> bool:
    """An exception that leaves the block of a streamed result closes it."""
    result: Result[int] | None = None
    closed = False
    with engine.connect() as connection:
        try:
            with connection.execute(
                select(Account.id), execution_options={"stream_results": True}
            ) as result:
                raise LookupError  # noqa: TRY301 - the fact is about it
        except LookupError:
            closed = result is not None and result.closed
        if result is not None:
            result.close()
    return closed


def stream_left_by_exception_instead(engine: Engine) -> None:
    """An exception that leaves a stream closes it and gives the connection back."""
    with stream(engine, select(Account.id)):
        raise LookupError


def error_while_streaming(engine: Engine) -> list[int]:
    """An error in a row of a stream has SQLAlchemy's class."""
    with stream(engine, select(Account.id // (Account.id - 2))) as batches:
        return [quotient for batch in batches for (quotient,) in batch]


def error_while_streaming_instead(engine: Engine) -> object:
    """An error in a row of an executed result has SQLAlchemy's class."""
    try:
        with engine.connect() as connection:
            return connection.scalars(select(Account.id // (Account.id - 2))).all()
    except DBAPIError as error:
        return getattr(error.driver_exception, "sqlstate", None)


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


def row_deleted_elsewhere(factory: sessionmaker[Session]) -> None:
    """A flush of several objects notices that a row of theirs is gone."""
    with factory() as session, factory() as other:
        accounts = session.scalars(select(Account).order_by(Account.id)).all()
        other.execute(delete(Account).where(Account.owner == "bert"))
        other.commit()
        for account in accounts:
            account.balance = 10
        session.commit()


def row_deleted_elsewhere_instead(factory: sessionmaker[Session]) -> None:
    """A flush of one object notices that its row is gone."""
    with factory() as session, factory() as other:
        accounts = session.scalars(select(Account).order_by(Account.id)).all()
        other.execute(delete(Account).where(Account.owner == "bert"))
        other.commit()
        for account in accounts:
            account.balance = 10
            session.flush()
        session.commit()


# Statements and values of PostgreSQL


def several_statements(engine: Engine) -> None:
    """One text may hold several statements."""
    with transaction(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO account VALUES (3, 'carl', 10);"
                "INSERT INTO account VALUES (4, 'dora', 20)"
            )
        )


def several_statements_instead(engine: Engine) -> None:
    """Each statement has a text of its own."""
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO account VALUES (3, 'carl', 10)"))
        connection.execute(text("INSERT INTO account VALUES (4, 'dora', 20)"))


def begin_in_a_text(engine: Engine) -> None:
    """A transaction that a text begins in autocommit ends with the block."""
    with read(engine) as connection:
        connection.execute(text("BEGIN"))
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    with read(engine) as connection:
        connection.execute(insert(Account).values(id=4, owner="dora", balance=20))


def begin_in_a_text_instead(engine: Engine) -> None:
    """A transaction that SQLAlchemy begins ends with the block."""
    with engine.connect() as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
    with read(engine) as connection:
        connection.execute(insert(Account).values(id=4, owner="dora", balance=20))


def commit_in_a_text(engine: Engine) -> None:
    """A statement after a COMMIT in a text belongs to a new transaction."""
    with engine.connect() as connection:
        connection.execute(text("COMMIT"))
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        connection.rollback()


def commit_in_a_text_instead(engine: Engine) -> None:
    """A statement after commit() belongs to a new transaction."""
    with engine.connect() as connection:
        connection.commit()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        connection.rollback()


def refused_value(engine: Engine) -> None:
    """A value that a column cannot hold fails the whole transaction."""
    with transaction(engine) as connection:
        try:
            large = {"id": 3, "owner": "carl", "balance": 2**31}
            connection.execute(insert(Account).values(large))
        except DBAPIError:
            small = {"id": 3, "owner": "carl", "balance": 2**31 - 1}
            connection.execute(insert(Account).values(small))


def refused_value_instead(engine: Engine) -> None:
    """A value that a column cannot hold fails the savepoint around it."""
    with transaction(engine) as connection:
        try:
            with savepoint(connection):
                large = {"id": 3, "owner": "carl", "balance": 2**31}
                connection.execute(insert(Account).values(large))
        except DBAPIError:
            small = {"id": 3, "owner": "carl", "balance": 2**31 - 1}
            connection.execute(insert(Account).values(small))


def class_of_an_error(engine: Engine) -> None:
    """An error of the server has the class of its SQLSTATE."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1 / 0"))


def class_of_an_error_instead(engine: Engine) -> object:
    """An error of the server is a DBAPIError, and the driver's has the SQLSTATE."""
    try:
        with engine.connect() as connection:
            return connection.scalar(text("SELECT 1 / 0"))
    except DBAPIError as error:
        return getattr(error.driver_exception, "sqlstate", None)


def rowcount_of_many(engine: Engine) -> int:
    """An UPDATE with several sets of parameters counts the rows of all."""
    statement = update(Account).where(Account.id == bindparam("account"))
    rows = [{"account": 1, "balance": 10}, {"account": 2, "balance": 20}]
    with transaction(engine) as connection:
        return connection.execute(statement, rows).rowcount


def rowcount_of_many_instead(engine: Engine) -> int:
    """An UPDATE with one set of parameters counts its rows."""
    statement = update(Account).where(Account.id == bindparam("account"))
    rows = [{"account": 1, "balance": 10}, {"account": 2, "balance": 20}]
    with transaction(engine) as connection:
        return sum([connection.execute(statement, row).rowcount for row in rows])


def read_uncommitted(engine: Engine) -> object:
    """A transaction may ask for READ UNCOMMITTED."""
    with transaction(engine, isolation_level="READ UNCOMMITTED") as connection:
        return connection.scalar(text("SHOW transaction_isolation"))


def read_uncommitted_instead(engine: Engine) -> object:
    """A transaction may ask for READ COMMITTED."""
    with transaction(engine, isolation_level="READ COMMITTED") as connection:
        return connection.scalar(text("SHOW transaction_isolation"))


def untyped_parameter(engine: Engine) -> object:
    """A parameter of a text has the type of its value."""
    statement = text("SELECT 'number ' || :number")
    with engine.connect() as connection:
        return connection.scalar(statement, {"number": 7})


def untyped_parameter_instead(engine: Engine) -> object:
    """A parameter of a text has the type that it is given."""
    number = bindparam("number", type_=Integer)
    statement = text("SELECT 'number ' || :number").bindparams(number)
    with engine.connect() as connection:
        return connection.scalar(statement, {"number": 7})


def float_into_integer(engine: Engine) -> None:
    """A float is rounded to fit into an INTEGER."""
    with transaction(engine) as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=1.9))


def float_into_integer_instead(engine: Engine) -> None:
    """A float that is rounded before it is sent is an integer."""
    with transaction(engine) as connection:
        balance = round(1.9)
        connection.execute(insert(Account).values(id=3, owner="carl", balance=balance))


def float_into_numeric(engine: Engine) -> Decimal | None:
    """A float becomes the NUMERIC that has the digits of its repr()."""
    with engine.connect() as connection:
        return connection.scalar(select(literal(0.1, Numeric()).cast(Numeric)))


def float_into_numeric_instead(engine: Engine) -> Decimal | None:
    """A Decimal becomes the NUMERIC that has its digits."""
    with engine.connect() as connection:
        return connection.scalar(select(literal(Decimal("0.1")).cast(Numeric)))


def float_from_real(engine: Engine) -> float | None:
    """A REAL has the digits that it was written with."""
    with engine.connect() as connection:
        return connection.scalar(select(literal(1.1).cast(REAL)))


def float_from_real_instead(engine: Engine) -> float | None:
    """A DOUBLE PRECISION has the digits that it was written with."""
    with engine.connect() as connection:
        return connection.scalar(select(literal(1.1).cast(Double)))


def last_date(engine: Engine) -> str | None:
    """The last date of Python is a date like another."""
    with engine.connect() as connection:
        return connection.scalar(select(literal(date.max).cast(String)))


def last_date_instead(engine: Engine) -> str | None:
    """The last date but one of Python is a date like another."""
    last = date.max - timedelta(days=1)
    with engine.connect() as connection:
        return connection.scalar(select(literal(last).cast(String)))


def naive_datetime(engine: Engine) -> bool:
    """A datetime without a zone is meant in the zone of the transaction."""
    noon = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - the fact is about it
    marquesas = timezone(-timedelta(hours=9, minutes=30))
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        statement = select(literal(noon, DateTime(timezone=True)))
        return connection.scalar(statement) == noon.replace(tzinfo=marquesas)


def naive_datetime_instead(engine: Engine) -> bool:
    """A datetime with a zone means the same instant to everybody."""
    marquesas = timezone(-timedelta(hours=9, minutes=30))
    noon = datetime(2026, 1, 1, 12, tzinfo=marquesas)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        statement = select(literal(noon, DateTime(timezone=True)))
        return connection.scalar(statement) == noon


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

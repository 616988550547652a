"""Facts of layer 2: the connection and its transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    bindparam,
    func,
    insert,
    literal,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.schema import CreateTable, DropTable

from async_layers import (
    PostgreSQLOptions,
    SQLiteOptions,
    engine_scope,
    insert_rows,
    read,
    savepoint,
    stream,
    transaction,
)
from async_layers.patterns.tables import Account, Entry

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine, Result, Row

# Accounts 1 (anna, 100) and 2 (bert, 50) are there when a fact begins.
CARL = {"id": 3, "owner": "carl", "balance": 10}
DORA = {"id": 4, "owner": "dora", "balance": 20}
SECOND_ANNA = {"id": 5, "owner": "anna", "balance": 30}
ORPHAN = {"id": 3, "account_id": 3, "amount": 10}

COUNT = select(func.count()).select_from(Account)
IDS = select(Account.id).order_by(Account.id)
AMOUNTS = select(Entry.amount).order_by(Entry.id)
TOTAL = select(func.sum(Account.balance))
BALANCE = select(Account.balance).where(Account.owner == "anna")
SPEND = update(Account).values(balance=Account.balance - 10)
ANNA_SPENDS = SPEND.where(Account.owner == "anna")
BERT_SPENDS = SPEND.where(Account.owner == "bert")
ANNA_HAS = (
    update(Account)
    .where(Account.owner == "anna")
    .values(balance=bindparam("value"))
    .returning(Account.balance)
)

NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - without a zone
MARQUESAS = timezone(-timedelta(hours=9, minutes=30))

# Four rows; the number of the last has no absolute value in 64 bits.
LAST_ROW_FAILS = select(
    func.abs(literal(4 - 2**63, BigInteger) - Account.id - Entry.id)
).join_from(Account, Entry, true())

NOTE = Table(
    "note",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("body", String),
)

# The words for it are each database's own.
DEFER = {
    "postgresql": "SET CONSTRAINTS ALL DEFERRED",
    "sqlite": "PRAGMA defer_foreign_keys = ON",
}
INSERT_OR_ROLLBACK = insert(Account).prefix_with("OR ROLLBACK")
INSERT_OR_SKIP = {
    "postgresql": postgresql.insert(Account).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(Account).on_conflict_do_nothing(),
}

# Returns when another transaction waits for this one, after 5 s at the latest.
UNTIL_ANOTHER_WAITS = text(
    """
    DO $$ BEGIN
        FOR attempt IN 1..500 LOOP
            EXIT WHEN EXISTS (
                SELECT FROM pg_locks
                WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
            );
            PERFORM pg_sleep(0.01);
        END LOOP;
        -- It has looked for a deadlock by then, and does not look again.
        PERFORM pg_sleep(
            0.3 + extract(epoch FROM current_setting('deadlock_timeout')::interval)
        );
    END $$
    """
)


# The transaction


def commit_as_you_go(engine: Engine) -> None:
    """Each commit ends a transaction; the next statement begins another."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)
        connection.commit()
        connection.execute(insert(Account), DORA)
        connection.commit()


def begin_once(engine: Engine) -> None:
    """A connection lent for one transaction commits at the end of its block."""
    with engine.begin() as connection:
        connection.execute(insert(Account), CARL)


def begin_again(engine: Engine) -> None:
    """One connection serves several transactions, one after the other."""
    with engine.connect() as connection:
        with connection.begin():
            connection.execute(insert(Account), CARL)
        with connection.begin():
            connection.execute(insert(Account), DORA)


def no_commit(engine: Engine) -> None:
    """What nobody commits is rolled back when the connection is given back."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)


def nothing_sent(engine: Engine) -> None:
    """A transaction without a statement sends nothing, neither BEGIN nor COMMIT."""
    with engine.begin():
        pass
    with engine.connect() as connection:
        connection.begin()
        connection.rollback()


def raise_inside(engine: Engine) -> None:
    """An exception that leaves the block rolls back and travels on."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)
        raise LookupError


def autobegin(engine: Engine) -> list[bool]:
    """A transaction begins with a statement, not with the loan of a connection."""
    with engine.connect() as connection:
        begun = [connection.in_transaction()]
        connection.execute(BALANCE)
        begun.append(connection.in_transaction())
        connection.commit()
        begun.append(connection.in_transaction())
        connection.execute(BALANCE)
        return [*begun, connection.in_transaction()]


def begin_twice(engine: Engine) -> None:
    """A connection that has begun refuses to begin once more."""
    with engine.connect() as connection, connection.begin():
        connection.execute(insert(Account), CARL)
        connection.begin()


def begin_after_autobegin(engine: Engine) -> None:
    """A statement has begun already, so that `begin()` after it is refused."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)
        with connection.begin():
            connection.execute(insert(Account), DORA)


def rollback_then_go_on(engine: Engine) -> None:
    """After a rollback the connection is as good as new."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)
        connection.rollback()
        connection.execute(insert(Account), DORA)
        connection.commit()


def use_after_commit(engine: Engine) -> None:
    """A block that stands for one transaction refuses statements after its commit."""
    with engine.begin() as connection:
        connection.execute(insert(Account), CARL)
        connection.commit()
        connection.execute(insert(Account), DORA)


def close_inside(engine: Engine) -> bool:
    """Closing a connection in its block rolls back; leaving the block adds nothing."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)
        connection.close()
        return connection.closed


def use_after_close(engine: Engine) -> None:
    """A closed connection refuses statements; it does not open another."""
    with engine.connect() as connection:
        connection.close()
        connection.execute(insert(Account), CARL)


# Transaction control of one's own


def commit_in_a_text(engine: Engine) -> None:
    """A text that ends a transaction is refused: SQLAlchemy would not notice."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)
        connection.execute(text("COMMIT"))


def begin_in_a_text(engine: Engine) -> None:
    """A text that begins a transaction is refused: SQLAlchemy would not notice."""
    with read(engine) as connection:
        connection.execute(text("BEGIN"))
        connection.execute(insert(Account), CARL)


def commit_at_the_driver(engine: Engine) -> None:
    """After a COMMIT that the driver is told, the next statement begins anew."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)
        connection.exec_driver_sql("COMMIT")
        connection.execute(insert(Account), DORA)
        connection.rollback()


def begin_at_the_driver(engine: Engine) -> None:
    """A transaction that the driver is told to begin ends where its user does."""
    with read(engine) as connection:
        connection.exec_driver_sql("BEGIN")
        connection.execute(insert(Account), CARL)
    with read(engine) as connection:
        connection.execute(insert(Account), DORA)


# Savepoints


def savepoint_released(engine: Engine) -> None:
    """Leaving a savepoint's block keeps its rows, and the transaction commits them."""
    with transaction(engine) as connection:
        with savepoint(connection):
            connection.execute(insert(Account), CARL)
        connection.execute(insert(Account), DORA)


def savepoint_rolled_back(engine: Engine) -> None:
    """Rolling back a savepoint undoes what came after it, and nothing else."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)
        nested = connection.begin_nested()
        connection.execute(insert(Account), DORA)
        nested.rollback()


def savepoint_raise_inside(engine: Engine) -> None:
    """An exception rolls back the savepoint that it leaves, not the transaction."""
    with transaction(engine) as connection:
        try:
            with savepoint(connection):
                connection.execute(insert(Account), CARL)
                int("ten")
        except ValueError:
            connection.execute(insert(Account), DORA)


def savepoint_goes_with_its_transaction(engine: Engine) -> None:
    """What a released savepoint kept is undone when its transaction rolls back."""
    with engine.connect() as connection:
        with connection.begin_nested():
            connection.execute(insert(Account), CARL)
        connection.rollback()


def savepoint_three_deep(engine: Engine) -> int | None:
    """A savepoint that rolls back undoes those released inside it, not those around."""
    with transaction(engine) as connection, savepoint(connection):
        connection.execute(ANNA_SPENDS)
        with savepoint(connection) as middle:
            connection.execute(ANNA_SPENDS)
            with savepoint(connection):
                connection.execute(ANNA_SPENDS)
            middle.rollback()
        return connection.scalar(BALANCE)


def savepoint_out_of_order(engine: Engine) -> None:
    """An inner savepoint is gone when the outer one rolls back; releasing it fails."""
    with transaction(engine) as connection:
        outer = connection.begin_nested()
        inner = connection.begin_nested()
        connection.execute(insert(Account), CARL)
        outer.close()
        inner.commit()


def savepoint_in_autocommit(engine: Engine) -> None:
    """A savepoint without a transaction is refused: it could not roll back."""
    with read(engine) as connection, savepoint(connection):
        connection.execute(insert(Account), CARL)


# Errors


def unique_violation(engine: Engine) -> None:
    """A statement that violates a constraint fails and rolls back its block."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)
        connection.execute(insert(Account), SECOND_ANNA)


def class_of_an_error(engine: Engine) -> None:
    """An error of PostgreSQL has the class of its SQLSTATE."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1 / 0"))


def error_undoes_its_statement(engine: Engine) -> None:
    """On SQLite an error undoes its statement alone, and the transaction goes on."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)
        with suppress(IntegrityError):
            connection.execute(insert(Account), SECOND_ANNA)
        connection.execute(insert(Account), DORA)


def error_aborts_its_transaction(engine: Engine) -> None:
    """On PostgreSQL a transaction with an error refuses all further statements."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)
        with suppress(IntegrityError):
            connection.execute(insert(Account), SECOND_ANNA)
        connection.execute(insert(Account), DORA)


def refused_value(engine: Engine) -> None:
    """A value that a column of PostgreSQL cannot hold aborts the transaction."""
    with transaction(engine) as connection:
        with suppress(DBAPIError):
            connection.execute(insert(Account), CARL | {"balance": 2**31})
        connection.execute(insert(Account), CARL)


def commit_after_error(engine: Engine) -> None:
    """On PostgreSQL the commit of a transaction with an error keeps nothing."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)
        with suppress(IntegrityError):
            connection.execute(insert(Account), SECOND_ANNA)
        connection.commit()


def savepoint_rescues(engine: Engine) -> None:
    """A savepoint around a statement that may fail lets the transaction go on."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)
        try:
            with savepoint(connection):
                connection.execute(insert(Account), SECOND_ANNA)
        except IntegrityError:
            connection.execute(insert(Account), DORA)


def one_row_of_many_fails(engine: Engine) -> None:
    """A statement for many rows fails as one, with the rows before the bad one."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), [CARL, SECOND_ANNA, DORA])


def broken_until_the_commit(engine: Engine) -> None:
    """A deferred constraint may be broken for as long as the transaction lasts."""
    with transaction(engine) as connection:
        connection.execute(text(DEFER[engine.dialect.name]))
        connection.execute(insert(Entry), ORPHAN)
        connection.execute(insert(Account), CARL)


def broken_at_the_commit(engine: Engine) -> None:
    """A deferred constraint that is still broken fails the commit; nothing is kept."""
    with transaction(engine) as connection:
        connection.execute(text(DEFER[engine.dialect.name]))
        connection.execute(insert(Entry), ORPHAN)


def broken_commit_is_over(engine: Engine) -> None:
    """A commit that fails leaves nothing for the next user of its connection."""
    with engine.connect() as connection:
        connection.execute(text(DEFER[engine.dialect.name]))
        connection.execute(insert(Entry), ORPHAN)
        with suppress(DBAPIError):
            connection.commit()
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)


def rolled_back_by_sqlite(engine: Engine) -> int | None:
    """A transaction that SQLite rolled back itself takes nothing until it is ended."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)
        with suppress(IntegrityError):
            connection.execute(INSERT_OR_ROLLBACK, SECOND_ANNA)
        with suppress(OperationalError):
            connection.execute(insert(Account), DORA)
        connection.rollback()
        return connection.scalar(COUNT)


# Isolation, autocommit, read only


def isolation_levels(engine: Engine) -> list[str | None]:
    """An isolation level holds for one transaction; the next has the server's own."""
    show = text("SHOW transaction_isolation")
    with transaction(engine, isolation_level="READ COMMITTED") as connection:
        seen = [connection.scalar(show)]
    with transaction(engine, isolation_level="REPEATABLE READ") as connection:
        seen.append(connection.scalar(show))
    with transaction(engine, isolation_level="SERIALIZABLE") as connection:
        seen.append(connection.scalar(show))
    with transaction(engine) as connection:
        return [*seen, connection.scalar(show)]


def read_uncommitted(engine: Engine) -> object:
    """A transaction of PostgreSQL may ask for READ UNCOMMITTED."""
    with transaction(engine, isolation_level="READ UNCOMMITTED") as connection:
        return connection.scalar(text("SHOW transaction_isolation"))


def isolation_levels_of_sqlite(engine: Engine) -> list[int | None]:
    """SQLite is SERIALIZABLE, but where READ UNCOMMITTED is asked for."""
    show = text("PRAGMA read_uncommitted")
    with transaction(engine, isolation_level="READ UNCOMMITTED") as connection:
        seen = [connection.scalar(show)]
    with transaction(engine, isolation_level="SERIALIZABLE") as connection:
        seen.append(connection.scalar(show))
    with transaction(engine) as connection:
        return [*seen, connection.scalar(show)]


def isolation_level_too_late(engine: Engine) -> None:
    """The isolation level of a transaction that has begun cannot be changed."""
    with engine.connect() as connection:
        connection.execute(ANNA_SPENDS)
        connection.execution_options(isolation_level="SERIALIZABLE")


def isolation_level_asked(engine: Engine) -> str:
    """Asking a connection for its isolation level leaves no transaction behind."""
    with engine.connect() as connection:
        return connection.get_isolation_level()


def autocommit(engine: Engine) -> None:
    """In autocommit each statement is committed at once; a rollback undoes nothing."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(insert(Account), CARL)
        connection.execute(insert(Account), DORA)
        connection.rollback()


def autocommit_is_off_again(engine: Engine) -> None:
    """Autocommit ends with the loan; the next user of the connection has to commit."""
    with read(engine) as connection:
        connection.execute(BALANCE)
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)


def read_without_begin(engine: Engine) -> int | None:
    """Reading in autocommit sends one statement, without BEGIN and ROLLBACK."""
    with read(engine) as connection:
        return connection.scalar(BALANCE)


def read_only_refuses_to_write(engine: Engine) -> None:
    """In a read-only transaction the database refuses to write."""
    with transaction(engine, read_only=True) as connection:
        connection.execute(insert(Account), CARL)


def read_only_is_off_again(engine: Engine) -> None:
    """Read only ends with the loan; the next user of the connection writes."""
    with transaction(engine, read_only=True) as connection:
        connection.execute(BALANCE)
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)


# Statements


def ddl_is_rolled_back(engine: Engine) -> None:
    """A table made in a transaction goes with it."""
    with engine.connect() as connection:
        connection.execute(CreateTable(NOTE))
        connection.execute(insert(NOTE), {"body": "first"})
        connection.rollback()


def inserted_primary_key(engine: Engine) -> Row[int] | None:
    """The key that the database gives to a new row comes back with the INSERT."""
    with transaction(engine) as connection:
        connection.execute(CreateTable(NOTE))
        result = connection.execute(insert(NOTE), {"body": "first"})
        return result.inserted_primary_key


def returning(engine: Engine) -> int | None:
    """A statement that writes returns what it wrote, in the same round trip."""
    with transaction(engine) as connection:
        return connection.scalar(ANNA_SPENDS.returning(Account.balance))


def rowcount(engine: Engine) -> int:
    """An UPDATE counts the rows that it matched, also those that it did not change."""
    with transaction(engine) as connection:
        result = connection.execute(update(Account).values(balance=50))
        return result.rowcount


def rowcount_of_many(engine: Engine) -> int:
    """An UPDATE with several sets of parameters counts the rows of all."""
    with transaction(engine) as connection:
        statement = update(Account).where(Account.id == bindparam("account"))
        sets = [{"account": id_, "balance": 10} for id_ in (1, 2, 3)]
        return connection.execute(statement, sets).rowcount


def on_conflict_do_nothing(engine: Engine) -> int | None:
    """A row that is there already is skipped, and the transaction goes on."""
    with transaction(engine) as connection:
        statement = INSERT_OR_SKIP[engine.dialect.name].returning(Account.id)
        connection.execute(insert(Account), CARL)
        return connection.execute(statement, SECOND_ANNA).scalar()


def insert_rows_in_one_statement(engine: Engine) -> int:
    """Many rows are sent as one COPY where there is one, as part of the transaction."""
    with transaction(engine) as connection:
        table = Account.metadata.tables["account"]
        return insert_rows(connection, table, [CARL, DORA])


def insert_rows_refuses_a_fraction(engine: Engine) -> int:
    """PostgreSQL reads the values of many rows, and no INTEGER has a fraction."""
    with transaction(engine) as connection:
        table = Account.metadata.tables["account"]
        return insert_rows(connection, table, [CARL, DORA | {"balance": 1.9}])


def several_statements(engine: Engine) -> None:
    """A text of several statements is refused: only one would give its rows."""
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM entry; DELETE FROM account"))


def untyped_parameter(engine: Engine) -> list[object]:
    """A parameter without a type has the type of its value."""
    statement = text("SELECT :value")
    with engine.connect() as connection:
        values = (7, 1.5, "seven", Decimal("0.10"), True, date(2026, 1, 1))
        return [connection.scalar(statement, {"value": each}) for each in values]


def two_phase_commit(engine: Engine) -> None:
    """A transaction in two phases is prepared first and committed then."""
    with engine.connect() as connection, connection.begin_twophase() as two_phase:
        connection.execute(insert(Account), CARL)
        two_phase.prepare()


def two_phase_rollback(engine: Engine) -> None:
    """A transaction that is prepared can still be rolled back."""
    with engine.connect() as connection, connection.begin_twophase() as two_phase:
        connection.execute(insert(Account), CARL)
        two_phase.prepare()
        two_phase.rollback()


# Values of PostgreSQL


def float_into_integer(engine: Engine) -> list[int | None]:
    """A float into an INTEGER is rounded, a half to the even number."""
    with transaction(engine) as connection:
        values = (1.9, 2.5, 3.5)
        return [connection.scalar(ANNA_HAS, {"value": each}) for each in values]


def text_into_integer(engine: Engine) -> int | None:
    """A text into an INTEGER is the number that it spells."""
    with transaction(engine) as connection:
        return connection.scalar(ANNA_HAS, {"value": "5"})


def float_into_numeric(engine: Engine) -> Decimal | None:
    """A float into a NUMERIC has the digits of its repr()."""
    with engine.connect() as connection:
        return connection.scalar(select(literal(0.1, Numeric()).cast(Numeric)))


def float_from_real(engine: Engine) -> float | None:
    """A REAL has the digits that it was written with."""
    with engine.connect() as connection:
        return connection.scalar(select(literal(1.1).cast(REAL)))


def last_date(engine: Engine) -> str | None:
    """The last date of Python is a date like another."""
    with engine.connect() as connection:
        return connection.scalar(select(literal(date.max).cast(String)))


def infinity(engine: Engine) -> None:
    """A date that Python does not have is refused when its row is read."""
    with engine.connect() as connection:
        result = connection.execute(text("SELECT CAST('infinity' AS date)"))
        result.scalar_one()


def naive_datetime(engine: Engine) -> bool:
    """A datetime without a zone is meant in the zone of the transaction."""
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        statement = select(literal(NOON, DateTime(timezone=True)))
        return connection.scalar(statement) == NOON.replace(tzinfo=MARQUESAS)


def naive_datetime_refused(url: URL) -> None:
    """An engine may refuse a datetime without a zone where there must be one."""
    options = PostgreSQLOptions(refuse_naive_datetimes=True)
    with engine_scope(url, postgresql=options) as engine, read(engine) as connection:
        connection.execute(select(literal(NOON, DateTime(timezone=True))))


# Results that are open


def insert_while_reading(engine: Engine) -> list[int]:
    """A result has the rows that were there when its statement was executed."""
    seen = list[int]()
    with transaction(engine) as connection:
        for id_ in connection.scalars(IDS):
            seen.append(id_)
            if id_ in {1, 2}:
                heir = {"id": id_ + 2, "owner": f"heir {id_}", "balance": 0}
                connection.execute(insert(Account), heir)
    return seen


def roll_back_while_reading(engine: Engine) -> list[int]:
    """A result outlives the rollback of its transaction, and of its rows."""
    with engine.connect() as connection:
        connection.execute(insert(Account), CARL)
        ids = connection.scalars(IDS)
        first = ids.fetchmany(1)
        connection.rollback()
        return [*first, *ids]


def write_while_another_reads(url: URL) -> list[int]:
    """A result that nobody has read yet keeps nobody from writing."""
    # Without WAL, a reader of SQLite is in a writer's way.
    options = SQLiteOptions(journal_mode="DELETE", busy_timeout=0.05)
    with engine_scope(url, sqlite=options) as engine, read(engine) as reader:
        ids = reader.scalars(IDS)
        with transaction(engine) as writer:
            writer.execute(insert(Account), CARL)
        return list(ids)


def drop_while_reading(engine: Engine) -> list[str]:
    """A table can be dropped while a result of its rows is open."""
    with transaction(engine) as connection:
        connection.execute(CreateTable(NOTE))
        connection.execute(insert(NOTE), {"body": "first"})
        bodies = connection.scalars(select(NOTE.c.body))
        connection.execute(DropTable(NOTE))
        return list(bodies)


def invalidate_while_reading(engine: Engine) -> list[int]:
    """An invalidated connection keeps no lock, whatever result of it is open."""
    with engine.connect() as connection:
        connection.execute(ANNA_SPENDS)
        ids = connection.scalars(IDS)
        connection.invalidate()
        with transaction(engine) as other:
            other.execute(ANNA_SPENDS)
        return list(ids)


def error_in_a_row(engine: Engine) -> str:
    """An error in a later row is raised when the statement is executed."""
    with engine.connect() as connection:
        try:
            result = connection.execute(LAST_ROW_FAILS)
        except DBAPIError:
            return "refused when executed"
        return f"{len(result.all())} rows"


# Streams


def stream_in_batches(engine: Engine) -> list[list[int]]:
    """A stream gives its rows in batches and then the connection back."""
    with stream(engine, AMOUNTS, batch=1) as batches:
        return [[amount for (amount,) in rows] for rows in batches]


def stream_left_early(engine: Engine) -> int:
    """A stream that is left early gives its connection back; the rest is not read."""
    count = 0
    with stream(engine, AMOUNTS, batch=1) as batches:
        for rows in batches:
            count += len(rows)
            break
    return count


def stream_fails_midway(engine: Engine) -> int:
    """An error in the midst of a stream rolls back and gives the connection back."""
    with stream(engine, LAST_ROW_FAILS, batch=1) as batches:
        return sum([len(rows) for rows in batches])


def stream_left_by_exception(engine: Engine) -> bool:
    """An exception that leaves the block of a streamed result closes it."""
    result: Result[int] | None = None
    with engine.connect() as connection:
        with suppress(LookupError):  # noqa: SIM117 - asyncio has to nest them
            with connection.execute(
                IDS, execution_options={"stream_results": True}
            ) as result:
                raise LookupError
        return result is not None and result.closed


def stream_of_an_insert(engine: Engine) -> int:
    """PostgreSQL has no cursor for rows that an INSERT returns."""
    statement = insert(Account).values(CARL).returning(Account.id)
    with stream(engine, statement) as batches:
        return sum([len(rows) for rows in batches])


# Two connections


def uncommitted_rows_are_hidden(engine: Engine) -> list[int | None]:
    """Another connection of the same engine sees rows when they are committed."""
    with engine.connect() as writer, read(engine) as reader:
        writer.execute(insert(Account), CARL)
        before = reader.scalar(COUNT)
        writer.commit()
        return [before, reader.scalar(COUNT)]


def read_committed(engine: Engine) -> list[int | None]:
    """Under READ COMMITTED each statement sees what others committed before it."""
    with transaction(engine, isolation_level="READ COMMITTED") as reader:
        before = reader.scalar(BALANCE)
        with transaction(engine) as writer:
            writer.execute(ANNA_SPENDS)
        return [before, reader.scalar(BALANCE)]


def snapshot(engine: Engine) -> list[int | None]:
    """Under SERIALIZABLE all statements see what the first one saw."""
    with transaction(engine, isolation_level="SERIALIZABLE") as reader:
        before = reader.scalar(BALANCE)
        with transaction(engine) as writer:
            writer.execute(ANNA_SPENDS)
        return [before, reader.scalar(BALANCE)]


def repeatable_read_conflict(engine: Engine) -> None:
    """Under REPEATABLE READ a row that another changed meanwhile cannot be written."""
    with transaction(engine, isolation_level="REPEATABLE READ") as connection:
        connection.execute(BALANCE)
        with transaction(engine) as other:
            other.execute(ANNA_SPENDS)
        connection.execute(ANNA_SPENDS)


def serializable_conflict(engine: Engine) -> None:
    """Of two SERIALIZABLE transactions that read what the other writes, one fails."""
    with (
        transaction(engine, isolation_level="SERIALIZABLE") as first,
        transaction(engine, isolation_level="SERIALIZABLE") as second,
    ):
        first.execute(TOTAL)
        second.execute(TOTAL)
        first.execute(ANNA_SPENDS)
        second.execute(BERT_SPENDS)


def stale_read_then_write(engine: Engine) -> None:
    """On SQLite a reader that another overtook fails at once when it writes."""
    with transaction(engine) as connection:
        connection.execute(BALANCE)
        with transaction(engine) as other:
            other.execute(ANNA_SPENDS)
        connection.execute(ANNA_SPENDS)


def read_then_write(engine: Engine) -> int:
    """A row that is read for an update is safe from others until the commit."""
    with transaction(engine, write=True) as connection:
        balance = connection.execute(BALANCE.with_for_update()).scalar_one()
        connection.execute(
            update(Account).where(Account.owner == "anna").values(balance=balance - 10)
        )
        return balance


def one_writer(url: URL) -> None:
    """On SQLite a transaction for writing keeps others from beginning one."""
    options = SQLiteOptions(busy_timeout=0.05)
    with (
        engine_scope(url, sqlite=options) as engine,
        transaction(engine, write=True) as first,
        transaction(engine, write=True) as second,
    ):
        first.execute(BALANCE)
        second.execute(ANNA_SPENDS)


def lock_nowait(engine: Engine) -> None:
    """FOR UPDATE NOWAIT fails where another transaction has locked the row."""
    lock = select(Account.id).where(Account.owner == "anna")
    with transaction(engine) as first, transaction(engine) as second:
        first.execute(lock.with_for_update())
        second.execute(lock.with_for_update(nowait=True))


def lock_skip_locked(engine: Engine) -> list[int | None]:
    """FOR UPDATE SKIP LOCKED takes the first row that nobody else has locked."""
    free = select(Account.id).order_by(Account.id).limit(1)
    free = free.with_for_update(skip_locked=True)
    with transaction(engine) as first, transaction(engine) as second:
        return [first.scalar(free), second.scalar(free)]


def lock_timeout(engine: Engine) -> None:
    """A statement waits for a lock for as long as its transaction allows."""
    with transaction(engine) as first, transaction(engine) as second:
        first.execute(ANNA_SPENDS)
        second.execute(text("SET LOCAL lock_timeout = '50ms'"))
        second.execute(ANNA_SPENDS)


def statement_timeout(engine: Engine) -> None:
    """A statement runs for as long as its transaction allows."""
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL statement_timeout = '50ms'"))
        connection.execute(select(func.pg_sleep(5)))


def advisory_lock(engine: Engine) -> list[bool | None]:
    """An advisory lock of a transaction is free again when the transaction ends."""
    name = func.hashtext(func.current_schema())
    with engine.connect() as first, engine.connect() as second:
        first.execute(select(func.pg_advisory_xact_lock(name)))
        try_lock = select(func.pg_try_advisory_xact_lock(name))
        before = second.scalar(try_lock)
        first.commit()
        return [before, second.scalar(try_lock)]


def deadlock(engine: Engine) -> None:
    """Of two transactions that wait for each other the last to wait fails."""
    with engine.connect() as last, engine.connect() as first:
        last.execute(ANNA_SPENDS)
        first.execute(BERT_SPENDS)
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(first.execute, ANNA_SPENDS)
            last.execute(UNTIL_ANOTHER_WAITS)
            try:
                last.execute(BERT_SPENDS)
            finally:
                wait([waiting], timeout=10)
                first.commit()

"""Facts of layer 2: the connection and its transaction."""

from __future__ import annotations

import asyncio
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
    async_engine_scope,
    async_insert_rows,
    async_read,
    async_savepoint,
    async_stream,
    async_transaction,
)
from async_layers.patterns.tables import Account, Entry

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Row
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncResult

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


async def commit_as_you_go(engine: AsyncEngine) -> None:
    """Each commit ends a transaction; the next statement begins another."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)
        await connection.commit()
        await connection.execute(insert(Account), DORA)
        await connection.commit()


async def begin_once(engine: AsyncEngine) -> None:
    """A connection lent for one transaction commits at the end of its block."""
    async with engine.begin() as connection:
        await connection.execute(insert(Account), CARL)


async def begin_again(engine: AsyncEngine) -> None:
    """One connection serves several transactions, one after the other."""
    async with engine.connect() as connection:
        async with connection.begin():
            await connection.execute(insert(Account), CARL)
        async with connection.begin():
            await connection.execute(insert(Account), DORA)


async def no_commit(engine: AsyncEngine) -> None:
    """What nobody commits is rolled back when the connection is given back."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)


async def nothing_sent(engine: AsyncEngine) -> None:
    """A transaction without a statement sends nothing, neither BEGIN nor COMMIT."""
    async with engine.begin():
        pass
    async with engine.connect() as connection:
        await connection.begin()
        await connection.rollback()


async def raise_inside(engine: AsyncEngine) -> None:
    """An exception that leaves the block rolls back and travels on."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
        raise LookupError


async def autobegin(engine: AsyncEngine) -> list[bool]:
    """A transaction begins with a statement, not with the loan of a connection."""
    async with engine.connect() as connection:
        begun = [connection.in_transaction()]
        await connection.execute(BALANCE)
        begun.append(connection.in_transaction())
        await connection.commit()
        begun.append(connection.in_transaction())
        await connection.execute(BALANCE)
        return [*begun, connection.in_transaction()]


async def begin_twice(engine: AsyncEngine) -> None:
    """A connection that has begun refuses to begin once more."""
    async with engine.connect() as connection, connection.begin():
        await connection.execute(insert(Account), CARL)
        await connection.begin()


async def begin_after_autobegin(engine: AsyncEngine) -> None:
    """A statement has begun already, so that `begin()` after it is refused."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)
        async with connection.begin():
            await connection.execute(insert(Account), DORA)


async def rollback_then_go_on(engine: AsyncEngine) -> None:
    """After a rollback the connection is as good as new."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)
        await connection.rollback()
        await connection.execute(insert(Account), DORA)
        await connection.commit()


async def use_after_commit(engine: AsyncEngine) -> None:
    """A block that stands for one transaction refuses statements after its commit."""
    async with engine.begin() as connection:
        await connection.execute(insert(Account), CARL)
        await connection.commit()
        await connection.execute(insert(Account), DORA)


async def close_inside(engine: AsyncEngine) -> bool:
    """Closing a connection in its block rolls back; leaving the block adds nothing."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)
        await connection.close()
        return connection.closed


async def use_after_close(engine: AsyncEngine) -> None:
    """A closed connection refuses statements; it does not open another."""
    async with engine.connect() as connection:
        await connection.close()
        await connection.execute(insert(Account), CARL)


# Transaction control of one's own


async def commit_in_a_text(engine: AsyncEngine) -> None:
    """A text that ends a transaction is refused: SQLAlchemy would not notice."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
        await connection.execute(text("COMMIT"))


async def begin_in_a_text(engine: AsyncEngine) -> None:
    """A text that begins a transaction is refused: SQLAlchemy would not notice."""
    async with async_read(engine) as connection:
        await connection.execute(text("BEGIN"))
        await connection.execute(insert(Account), CARL)


async def commit_at_the_driver(engine: AsyncEngine) -> None:
    """After a COMMIT that the driver is told, the next statement begins anew."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)
        await connection.exec_driver_sql("COMMIT")
        await connection.execute(insert(Account), DORA)
        await connection.rollback()


async def begin_at_the_driver(engine: AsyncEngine) -> None:
    """A transaction that the driver is told to begin ends where its user does."""
    async with async_read(engine) as connection:
        await connection.exec_driver_sql("BEGIN")
        await connection.execute(insert(Account), CARL)
    async with async_read(engine) as connection:
        await connection.execute(insert(Account), DORA)


# Savepoints


async def savepoint_released(engine: AsyncEngine) -> None:
    """Leaving a savepoint's block keeps its rows, and the transaction commits them."""
    async with async_transaction(engine) as connection:
        async with async_savepoint(connection):
            await connection.execute(insert(Account), CARL)
        await connection.execute(insert(Account), DORA)


async def savepoint_rolled_back(engine: AsyncEngine) -> None:
    """Rolling back a savepoint undoes what came after it, and nothing else."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
        nested = await connection.begin_nested()
        await connection.execute(insert(Account), DORA)
        await nested.rollback()


async def savepoint_raise_inside(engine: AsyncEngine) -> None:
    """An exception rolls back the savepoint that it leaves, not the transaction."""
    async with async_transaction(engine) as connection:
        try:
            async with async_savepoint(connection):
                await connection.execute(insert(Account), CARL)
                int("ten")
        except ValueError:
            await connection.execute(insert(Account), DORA)


async def savepoint_goes_with_its_transaction(engine: AsyncEngine) -> None:
    """What a released savepoint kept is undone when its transaction rolls back."""
    async with engine.connect() as connection:
        async with connection.begin_nested():
            await connection.execute(insert(Account), CARL)
        await connection.rollback()


async def savepoint_three_deep(engine: AsyncEngine) -> int | None:
    """A savepoint that rolls back undoes those released inside it, not those around."""
    async with async_transaction(engine) as connection, async_savepoint(connection):
        await connection.execute(ANNA_SPENDS)
        async with async_savepoint(connection) as middle:
            await connection.execute(ANNA_SPENDS)
            async with async_savepoint(connection):
                await connection.execute(ANNA_SPENDS)
            await middle.rollback()
        return await connection.scalar(BALANCE)


async def savepoint_out_of_order(engine: AsyncEngine) -> None:
    """An inner savepoint is gone when the outer one rolls back; releasing it fails."""
    async with async_transaction(engine) as connection:
        outer = await connection.begin_nested()
        inner = await connection.begin_nested()
        await connection.execute(insert(Account), CARL)
        await outer.close()
        await inner.commit()


async def savepoint_in_autocommit(engine: AsyncEngine) -> None:
    """A savepoint without a transaction is refused: it could not roll back."""
    async with async_read(engine) as connection, async_savepoint(connection):
        await connection.execute(insert(Account), CARL)


# Errors


async def unique_violation(engine: AsyncEngine) -> None:
    """A statement that violates a constraint fails and rolls back its block."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
        await connection.execute(insert(Account), SECOND_ANNA)


async def class_of_an_error(engine: AsyncEngine) -> None:
    """An error of PostgreSQL has the class of its SQLSTATE."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1 / 0"))


async def error_undoes_its_statement(engine: AsyncEngine) -> None:
    """On SQLite an error undoes its statement alone, and the transaction goes on."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
        with suppress(IntegrityError):
            await connection.execute(insert(Account), SECOND_ANNA)
        await connection.execute(insert(Account), DORA)


async def error_aborts_its_transaction(engine: AsyncEngine) -> None:
    """On PostgreSQL a transaction with an error refuses all further statements."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
        with suppress(IntegrityError):
            await connection.execute(insert(Account), SECOND_ANNA)
        await connection.execute(insert(Account), DORA)


async def refused_value(engine: AsyncEngine) -> None:
    """A value that a column of PostgreSQL cannot hold aborts the transaction."""
    async with async_transaction(engine) as connection:
        with suppress(DBAPIError):
            await connection.execute(insert(Account), CARL | {"balance": 2**31})
        await connection.execute(insert(Account), CARL)


async def commit_after_error(engine: AsyncEngine) -> None:
    """On PostgreSQL the commit of a transaction with an error keeps nothing."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)
        with suppress(IntegrityError):
            await connection.execute(insert(Account), SECOND_ANNA)
        await connection.commit()


async def savepoint_rescues(engine: AsyncEngine) -> None:
    """A savepoint around a statement that may fail lets the transaction go on."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
        try:
            async with async_savepoint(connection):
                await connection.execute(insert(Account), SECOND_ANNA)
        except IntegrityError:
            await connection.execute(insert(Account), DORA)


async def one_row_of_many_fails(engine: AsyncEngine) -> None:
    """A statement for many rows fails as one, with the rows before the bad one."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), [CARL, SECOND_ANNA, DORA])


async def broken_until_the_commit(engine: AsyncEngine) -> None:
    """A deferred constraint may be broken for as long as the transaction lasts."""
    async with async_transaction(engine) as connection:
        await connection.execute(text(DEFER[engine.dialect.name]))
        await connection.execute(insert(Entry), ORPHAN)
        await connection.execute(insert(Account), CARL)


async def broken_at_the_commit(engine: AsyncEngine) -> None:
    """A deferred constraint that is still broken fails the commit; nothing is kept."""
    async with async_transaction(engine) as connection:
        await connection.execute(text(DEFER[engine.dialect.name]))
        await connection.execute(insert(Entry), ORPHAN)


async def broken_commit_is_over(engine: AsyncEngine) -> None:
    """A commit that fails leaves nothing for the next user of its connection."""
    async with engine.connect() as connection:
        await connection.execute(text(DEFER[engine.dialect.name]))
        await connection.execute(insert(Entry), ORPHAN)
        with suppress(DBAPIError):
            await connection.commit()
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)


async def rolled_back_by_sqlite(engine: AsyncEngine) -> int | None:
    """A transaction that SQLite rolled back itself takes nothing until it is ended."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)
        with suppress(IntegrityError):
            await connection.execute(INSERT_OR_ROLLBACK, SECOND_ANNA)
        with suppress(OperationalError):
            await connection.execute(insert(Account), DORA)
        await connection.rollback()
        return await connection.scalar(COUNT)


# Isolation, autocommit, read only


async def isolation_levels(engine: AsyncEngine) -> list[str | None]:
    """An isolation level holds for one transaction; the next has the server's own."""
    show = text("SHOW transaction_isolation")
    async with async_transaction(
        engine, isolation_level="READ COMMITTED"
    ) as connection:
        seen = [await connection.scalar(show)]
    async with async_transaction(
        engine, isolation_level="REPEATABLE READ"
    ) as connection:
        seen.append(await connection.scalar(show))
    async with async_transaction(engine, isolation_level="SERIALIZABLE") as connection:
        seen.append(await connection.scalar(show))
    async with async_transaction(engine) as connection:
        return [*seen, await connection.scalar(show)]


async def read_uncommitted(engine: AsyncEngine) -> object:
    """A transaction of PostgreSQL may ask for READ UNCOMMITTED."""
    async with async_transaction(
        engine, isolation_level="READ UNCOMMITTED"
    ) as connection:
        return await connection.scalar(text("SHOW transaction_isolation"))


async def isolation_levels_of_sqlite(engine: AsyncEngine) -> list[int | None]:
    """SQLite is SERIALIZABLE, but where READ UNCOMMITTED is asked for."""
    show = text("PRAGMA read_uncommitted")
    async with async_transaction(
        engine, isolation_level="READ UNCOMMITTED"
    ) as connection:
        seen = [await connection.scalar(show)]
    async with async_transaction(engine, isolation_level="SERIALIZABLE") as connection:
        seen.append(await connection.scalar(show))
    async with async_transaction(engine) as connection:
        return [*seen, await connection.scalar(show)]


async def isolation_level_too_late(engine: AsyncEngine) -> None:
    """The isolation level of a transaction that has begun cannot be changed."""
    async with engine.connect() as connection:
        await connection.execute(ANNA_SPENDS)
        await connection.execution_options(isolation_level="SERIALIZABLE")


async def isolation_level_asked(engine: AsyncEngine) -> str:
    """Asking a connection for its isolation level leaves no transaction behind."""
    async with engine.connect() as connection:
        return await connection.get_isolation_level()


async def autocommit(engine: AsyncEngine) -> None:
    """In autocommit each statement is committed at once; a rollback undoes nothing."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(insert(Account), CARL)
        await connection.execute(insert(Account), DORA)
        await connection.rollback()


async def autocommit_is_off_again(engine: AsyncEngine) -> None:
    """Autocommit ends with the loan; the next user of the connection has to commit."""
    async with async_read(engine) as connection:
        await connection.execute(BALANCE)
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)


async def read_without_begin(engine: AsyncEngine) -> int | None:
    """Reading in autocommit sends one statement, without BEGIN and ROLLBACK."""
    async with async_read(engine) as connection:
        return await connection.scalar(BALANCE)


async def read_only_refuses_to_write(engine: AsyncEngine) -> None:
    """In a read-only transaction the database refuses to write."""
    async with async_transaction(engine, read_only=True) as connection:
        await connection.execute(insert(Account), CARL)


async def read_only_is_off_again(engine: AsyncEngine) -> None:
    """Read only ends with the loan; the next user of the connection writes."""
    async with async_transaction(engine, read_only=True) as connection:
        await connection.execute(BALANCE)
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)


# Statements


async def ddl_is_rolled_back(engine: AsyncEngine) -> None:
    """A table made in a transaction goes with it."""
    async with engine.connect() as connection:
        await connection.execute(CreateTable(NOTE))
        await connection.execute(insert(NOTE), {"body": "first"})
        await connection.rollback()


async def inserted_primary_key(engine: AsyncEngine) -> Row[int] | None:
    """The key that the database gives to a new row comes back with the INSERT."""
    async with async_transaction(engine) as connection:
        await connection.execute(CreateTable(NOTE))
        result = await connection.execute(insert(NOTE), {"body": "first"})
        return result.inserted_primary_key


async def returning(engine: AsyncEngine) -> int | None:
    """A statement that writes returns what it wrote, in the same round trip."""
    async with async_transaction(engine) as connection:
        return await connection.scalar(ANNA_SPENDS.returning(Account.balance))


async def rowcount(engine: AsyncEngine) -> int:
    """An UPDATE counts the rows that it matched, also those that it did not change."""
    async with async_transaction(engine) as connection:
        result = await connection.execute(update(Account).values(balance=50))
        return result.rowcount


async def rowcount_of_many(engine: AsyncEngine) -> int:
    """An UPDATE with several sets of parameters counts the rows of all."""
    async with async_transaction(engine) as connection:
        statement = update(Account).where(Account.id == bindparam("account"))
        sets = [{"account": id_, "balance": 10} for id_ in (1, 2, 3)]
        return (await connection.execute(statement, sets)).rowcount


async def on_conflict_do_nothing(engine: AsyncEngine) -> int | None:
    """A row that is there already is skipped, and the transaction goes on."""
    async with async_transaction(engine) as connection:
        statement = INSERT_OR_SKIP[engine.dialect.name].returning(Account.id)
        await connection.execute(insert(Account), CARL)
        return (await connection.execute(statement, SECOND_ANNA)).scalar()


async def insert_rows_in_one_statement(engine: AsyncEngine) -> int:
    """Many rows are sent as one COPY where there is one, as part of the transaction."""
    async with async_transaction(engine) as connection:
        table = Account.metadata.tables["account"]
        return await async_insert_rows(connection, table, [CARL, DORA])


async def insert_rows_refuses_a_fraction(engine: AsyncEngine) -> int:
    """PostgreSQL reads the values of many rows, and no INTEGER has a fraction."""
    async with async_transaction(engine) as connection:
        table = Account.metadata.tables["account"]
        return await async_insert_rows(
            connection, table, [CARL, DORA | {"balance": 1.9}]
        )


async def several_statements(engine: AsyncEngine) -> None:
    """A text of several statements is refused: only one would give its rows."""
    async with async_transaction(engine) as connection:
        await connection.execute(text("DELETE FROM entry; DELETE FROM account"))


async def untyped_parameter(engine: AsyncEngine) -> list[object]:
    """A parameter without a type has the type of its value."""
    statement = text("SELECT :value")
    async with engine.connect() as connection:
        values = (7, 1.5, "seven", Decimal("0.10"), True, date(2026, 1, 1))
        return [await connection.scalar(statement, {"value": each}) for each in values]


async def two_phase_commit(engine: AsyncEngine) -> None:
    """A transaction in two phases is prepared first and committed then."""

    def work(connection: Connection) -> None:
        with connection.begin_twophase() as two_phase:
            connection.execute(insert(Account), CARL)
            two_phase.prepare()

    async with engine.connect() as connection:
        await connection.run_sync(work)


async def two_phase_rollback(engine: AsyncEngine) -> None:
    """A transaction that is prepared can still be rolled back."""

    def work(connection: Connection) -> None:
        with connection.begin_twophase() as two_phase:
            connection.execute(insert(Account), CARL)
            two_phase.prepare()
            two_phase.rollback()

    async with engine.connect() as connection:
        await connection.run_sync(work)


# Values of PostgreSQL


async def float_into_integer(engine: AsyncEngine) -> list[int | None]:
    """A float into an INTEGER is rounded, a half to the even number."""
    async with async_transaction(engine) as connection:
        values = (1.9, 2.5, 3.5)
        return [await connection.scalar(ANNA_HAS, {"value": each}) for each in values]


async def text_into_integer(engine: AsyncEngine) -> int | None:
    """A text into an INTEGER is the number that it spells."""
    async with async_transaction(engine) as connection:
        return await connection.scalar(ANNA_HAS, {"value": "5"})


async def float_into_numeric(engine: AsyncEngine) -> Decimal | None:
    """A float into a NUMERIC has the digits of its repr()."""
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(0.1, Numeric()).cast(Numeric)))


async def float_from_real(engine: AsyncEngine) -> float | None:
    """A REAL has the digits that it was written with."""
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(1.1).cast(REAL)))


async def last_date(engine: AsyncEngine) -> str | None:
    """The last date of Python is a date like another."""
    async with engine.connect() as connection:
        return await connection.scalar(select(literal(date.max).cast(String)))


async def infinity(engine: AsyncEngine) -> None:
    """A date that Python does not have is refused when its row is read."""
    async with engine.connect() as connection:
        result = await connection.execute(text("SELECT CAST('infinity' AS date)"))
        result.scalar_one()


async def naive_datetime(engine: AsyncEngine) -> bool:
    """A datetime without a zone is meant in the zone of the transaction."""
    async with async_transaction(engine) as connection:
        await connection.execute(text("SET LOCAL TIME ZONE 'Pacific/Marquesas'"))
        statement = select(literal(NOON, DateTime(timezone=True)))
        return await connection.scalar(statement) == NOON.replace(tzinfo=MARQUESAS)


async def naive_datetime_refused(url: URL) -> None:
    """An engine may refuse a datetime without a zone where there must be one."""
    options = PostgreSQLOptions(refuse_naive_datetimes=True)
    async with (
        async_engine_scope(url, postgresql=options) as engine,
        async_read(engine) as connection,
    ):
        await connection.execute(select(literal(NOON, DateTime(timezone=True))))


# Results that are open


async def insert_while_reading(engine: AsyncEngine) -> list[int]:
    """A result has the rows that were there when its statement was executed."""
    seen = list[int]()
    async with async_transaction(engine) as connection:
        for id_ in await connection.scalars(IDS):
            seen.append(id_)
            if id_ in {1, 2}:
                heir = {"id": id_ + 2, "owner": f"heir {id_}", "balance": 0}
                await connection.execute(insert(Account), heir)
    return seen


async def roll_back_while_reading(engine: AsyncEngine) -> list[int]:
    """A result outlives the rollback of its transaction, and of its rows."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account), CARL)
        ids = await connection.scalars(IDS)
        first = ids.fetchmany(1)
        await connection.rollback()
        return [*first, *ids]


async def write_while_another_reads(url: URL) -> list[int]:
    """A result that nobody has read yet keeps nobody from writing."""
    # Without WAL, a reader of SQLite is in a writer's way.
    options = SQLiteOptions(journal_mode="DELETE", busy_timeout=0.05)
    async with (
        async_engine_scope(url, sqlite=options) as engine,
        async_read(engine) as reader,
    ):
        ids = await reader.scalars(IDS)
        async with async_transaction(engine) as writer:
            await writer.execute(insert(Account), CARL)
        return list(ids)


async def drop_while_reading(engine: AsyncEngine) -> list[str]:
    """A table can be dropped while a result of its rows is open."""
    async with async_transaction(engine) as connection:
        await connection.execute(CreateTable(NOTE))
        await connection.execute(insert(NOTE), {"body": "first"})
        bodies = await connection.scalars(select(NOTE.c.body))
        await connection.execute(DropTable(NOTE))
        return list(bodies)


async def invalidate_while_reading(engine: AsyncEngine) -> list[int]:
    """An invalidated connection keeps no lock, whatever result of it is open."""
    async with engine.connect() as connection:
        await connection.execute(ANNA_SPENDS)
        ids = await connection.scalars(IDS)
        await connection.invalidate()
        async with async_transaction(engine) as other:
            await other.execute(ANNA_SPENDS)
        return list(ids)


async def error_in_a_row(engine: AsyncEngine) -> str:
    """An error in a later row is raised when the statement is executed."""
    async with engine.connect() as connection:
        try:
            result = await connection.execute(LAST_ROW_FAILS)
        except DBAPIError:
            return "refused when executed"
        return f"{len(result.all())} rows"


# Streams


async def stream_in_batches(engine: AsyncEngine) -> list[list[int]]:
    """A stream gives its rows in batches and then the connection back."""
    async with async_stream(engine, AMOUNTS, batch=1) as batches:
        return [[amount for (amount,) in rows] async for rows in batches]


async def stream_left_early(engine: AsyncEngine) -> int:
    """A stream that is left early gives its connection back; the rest is not read."""
    count = 0
    async with async_stream(engine, AMOUNTS, batch=1) as batches:
        async for rows in batches:
            count += len(rows)
            break
    return count


async def stream_fails_midway(engine: AsyncEngine) -> int:
    """An error in the midst of a stream rolls back and gives the connection back."""
    async with async_stream(engine, LAST_ROW_FAILS, batch=1) as batches:
        return sum([len(rows) async for rows in batches])


async def stream_left_by_exception(engine: AsyncEngine) -> bool:
    """An exception that leaves the block of a streamed result closes it."""
    result: AsyncResult[int] | None = None
    async with engine.connect() as connection:
        with suppress(LookupError):
            async with connection.stream(IDS) as result:
                raise LookupError
        return result is not None and result.closed


async def stream_of_an_insert(engine: AsyncEngine) -> int:
    """PostgreSQL has no cursor for rows that an INSERT returns."""
    statement = insert(Account).values(CARL).returning(Account.id)
    async with async_stream(engine, statement) as batches:
        return sum([len(rows) async for rows in batches])


# Two connections


async def uncommitted_rows_are_hidden(engine: AsyncEngine) -> list[int | None]:
    """Another connection of the same engine sees rows when they are committed."""
    async with engine.connect() as writer, async_read(engine) as reader:
        await writer.execute(insert(Account), CARL)
        before = await reader.scalar(COUNT)
        await writer.commit()
        return [before, await reader.scalar(COUNT)]


async def read_committed(engine: AsyncEngine) -> list[int | None]:
    """Under READ COMMITTED each statement sees what others committed before it."""
    async with async_transaction(engine, isolation_level="READ COMMITTED") as reader:
        before = await reader.scalar(BALANCE)
        async with async_transaction(engine) as writer:
            await writer.execute(ANNA_SPENDS)
        return [before, await reader.scalar(BALANCE)]


async def snapshot(engine: AsyncEngine) -> list[int | None]:
    """Under SERIALIZABLE all statements see what the first one saw."""
    async with async_transaction(engine, isolation_level="SERIALIZABLE") as reader:
        before = await reader.scalar(BALANCE)
        async with async_transaction(engine) as writer:
            await writer.execute(ANNA_SPENDS)
        return [before, await reader.scalar(BALANCE)]


async def repeatable_read_conflict(engine: AsyncEngine) -> None:
    """Under REPEATABLE READ a row that another changed meanwhile cannot be written."""
    async with async_transaction(
        engine, isolation_level="REPEATABLE READ"
    ) as connection:
        await connection.execute(BALANCE)
        async with async_transaction(engine) as other:
            await other.execute(ANNA_SPENDS)
        await connection.execute(ANNA_SPENDS)


async def serializable_conflict(engine: AsyncEngine) -> None:
    """Of two SERIALIZABLE transactions that read what the other writes, one fails."""
    async with (
        async_transaction(engine, isolation_level="SERIALIZABLE") as first,
        async_transaction(engine, isolation_level="SERIALIZABLE") as second,
    ):
        await first.execute(TOTAL)
        await second.execute(TOTAL)
        await first.execute(ANNA_SPENDS)
        await second.execute(BERT_SPENDS)


async def stale_read_then_write(engine: AsyncEngine) -> None:
    """On SQLite a reader that another overtook fails at once when it writes."""
    async with async_transaction(engine) as connection:
        await connection.execute(BALANCE)
        async with async_transaction(engine) as other:
            await other.execute(ANNA_SPENDS)
        await connection.execute(ANNA_SPENDS)


async def read_then_write(engine: AsyncEngine) -> int:
    """A row that is read for an update is safe from others until the commit."""
    async with async_transaction(engine, write=True) as connection:
        balance = (await connection.execute(BALANCE.with_for_update())).scalar_one()
        await connection.execute(
            update(Account).where(Account.owner == "anna").values(balance=balance - 10)
        )
        return balance


async def one_writer(url: URL) -> None:
    """On SQLite a transaction for writing keeps others from beginning one."""
    options = SQLiteOptions(busy_timeout=0.05)
    async with (
        async_engine_scope(url, sqlite=options) as engine,
        async_transaction(engine, write=True) as first,
        async_transaction(engine, write=True) as second,
    ):
        await first.execute(BALANCE)
        await second.execute(ANNA_SPENDS)


async def lock_nowait(engine: AsyncEngine) -> None:
    """FOR UPDATE NOWAIT fails where another transaction has locked the row."""
    lock = select(Account.id).where(Account.owner == "anna")
    async with async_transaction(engine) as first, async_transaction(engine) as second:
        await first.execute(lock.with_for_update())
        await second.execute(lock.with_for_update(nowait=True))


async def lock_skip_locked(engine: AsyncEngine) -> list[int | None]:
    """FOR UPDATE SKIP LOCKED takes the first row that nobody else has locked."""
    free = select(Account.id).order_by(Account.id).limit(1)
    free = free.with_for_update(skip_locked=True)
    async with async_transaction(engine) as first, async_transaction(engine) as second:
        return [await first.scalar(free), await second.scalar(free)]


async def lock_timeout(engine: AsyncEngine) -> None:
    """A statement waits for a lock for as long as its transaction allows."""
    async with async_transaction(engine) as first, async_transaction(engine) as second:
        await first.execute(ANNA_SPENDS)
        await second.execute(text("SET LOCAL lock_timeout = '50ms'"))
        await second.execute(ANNA_SPENDS)


async def statement_timeout(engine: AsyncEngine) -> None:
    """A statement runs for as long as its transaction allows."""
    async with async_transaction(engine) as connection:
        await connection.execute(text("SET LOCAL statement_timeout = '50ms'"))
        await connection.execute(select(func.pg_sleep(5)))


async def advisory_lock(engine: AsyncEngine) -> list[bool | None]:
    """An advisory lock of a transaction is free again when the transaction ends."""
    name = func.hashtext(func.current_schema())
    async with engine.connect() as first, engine.connect() as second:
        await first.execute(select(func.pg_advisory_xact_lock(name)))
        try_lock = select(func.pg_try_advisory_xact_lock(name))
        before = await second.scalar(try_lock)
        await first.commit()
        return [before, await second.scalar(try_lock)]


async def deadlock(engine: AsyncEngine) -> None:
    """Of two transactions that wait for each other the last to wait fails."""
    async with engine.connect() as last, engine.connect() as first:
        await last.execute(ANNA_SPENDS)
        await first.execute(BERT_SPENDS)
        waiting = asyncio.create_task(first.execute(ANNA_SPENDS))
        await last.execute(UNTIL_ANOTHER_WAITS)
        try:
            await last.execute(BERT_SPENDS)
        finally:
            await asyncio.wait([waiting], timeout=10)
            await first.commit()

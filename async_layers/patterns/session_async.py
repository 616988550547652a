"""Facts of layer 3: the session, its transaction and its objects."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from async_layers import async_unit_of_work
from async_layers.patterns.tables import Account, Document, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
    from sqlalchemy.orm import Session

# Begin and end


async def autobegin(factory: async_sessionmaker[AsyncSession]) -> tuple[bool, bool]:
    """A session begins, and takes a connection, with its first statement."""
    async with factory() as session:
        before = session.in_transaction()
        await session.get(Account, 1)
        return before, session.in_transaction()


async def add_begins_without_connection(
    factory: async_sessionmaker[AsyncSession],
) -> bool:
    """An object that is added begins a transaction that has no connection yet."""
    async with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        return session.in_transaction()


async def autobegin_switched_off(factory: async_sessionmaker[AsyncSession]) -> None:
    """A session without autobegin refuses to work before it is begun."""
    async with factory(autobegin=False) as session:
        await session.get(Account, 1)


async def begin_block_commits(factory: async_sessionmaker[AsyncSession]) -> None:
    """Leaving the begin block flushes, commits and gives the connection back."""
    async with factory() as session, session.begin():
        session.add(Account(id=3, owner="carl", balance=10))


async def factory_begin(factory: async_sessionmaker[AsyncSession]) -> None:
    """The factory's begin block is a session and its transaction in one."""
    async with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))


async def raise_in_begin_block(factory: async_sessionmaker[AsyncSession]) -> None:
    """An exception that leaves the begin block rolls back and travels on."""
    async with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        await session.flush()
        raise LookupError


async def close_without_commit(factory: async_sessionmaker[AsyncSession]) -> None:
    """What is flushed and not committed is rolled back when the session closes."""
    async with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        await session.flush()


async def commit_as_you_go(factory: async_sessionmaker[AsyncSession]) -> None:
    """Each commit gives the connection back; the next change begins again."""
    async with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        await session.commit()
        session.add(Account(id=4, owner="dora", balance=20))
        await session.commit()


async def commit_of_nothing(factory: async_sessionmaker[AsyncSession]) -> None:
    """A commit with nothing to flush takes no connection."""
    async with factory() as session:
        await session.commit()


async def begin_twice(factory: async_sessionmaker[AsyncSession]) -> None:
    """A second begin inside the first is refused."""
    async with factory() as session:
        await session.begin()
        await session.begin()


async def begin_after_autobegin(factory: async_sessionmaker[AsyncSession]) -> None:
    """A begin after the first statement is refused: it has begun the session."""
    async with factory() as session:
        await session.get(Account, 1)
        await session.begin()


async def statement_after_commit_in_begin_block(
    factory: async_sessionmaker[AsyncSession],
) -> None:
    """A begin block that is committed inside refuses further statements."""
    async with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        await session.commit()
        await session.get(Account, 1)


async def transaction_states(
    factory: async_sessionmaker[AsyncSession],
) -> list[tuple[bool, bool]]:
    """A session tells whether it is in a transaction, and in a nested one."""
    async with factory() as session:
        states = [(session.in_transaction(), session.in_nested_transaction())]
        async with session.begin() as outer:
            states.append((session.in_transaction(), session.in_nested_transaction()))
            async with session.begin_nested() as nested:
                states += [
                    (session.in_transaction(), session.in_nested_transaction()),
                    (
                        session.get_transaction() is outer,
                        session.get_nested_transaction() is nested,
                    ),
                ]
        return states


async def session_connection(factory: async_sessionmaker[AsyncSession]) -> None:
    """The session's connection shares its transaction with the session."""
    async with factory() as session:
        connection = await session.connection()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        await session.commit()


# Flush


async def flush_before_query(
    factory: async_sessionmaker[AsyncSession],
) -> Sequence[str]:
    """A query flushes what is pending first, and so finds it."""
    async with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        owners = await session.scalars(select(Account.owner).order_by(Account.id))
        return owners.all()


async def no_autoflush(factory: async_sessionmaker[AsyncSession]) -> Sequence[str]:
    """A query in a no_autoflush block does not find what is pending."""
    async with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        with session.no_autoflush:
            owners = await session.scalars(select(Account.owner).order_by(Account.id))
        return owners.all()


async def flush_inserts_parents_first(
    factory: async_sessionmaker[AsyncSession],
) -> None:
    """A flush inserts a parent before its child, in whatever order they came."""
    async with factory.begin() as session:
        entry = Entry(id=3, amount=10)
        session.add(entry)
        entry.account = Account(id=3, owner="carl", balance=10)


async def flush_batches_rows(factory: async_sessionmaker[AsyncSession]) -> None:
    """A flush inserts the new rows of one table together."""
    async with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.add(Account(id=4, owner="dora", balance=20))


async def flush_error_rolls_back_everything(
    factory: async_sessionmaker[AsyncSession],
) -> None:
    """A flush that fails rolls back all of its transaction, earlier flushes too."""
    async with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        await session.flush()
        session.add(Account(id=4, owner="anna", balance=20))
        await session.flush()


async def pending_rollback(factory: async_sessionmaker[AsyncSession]) -> None:
    """After a flush that failed, the session refuses work until it is rolled back."""
    async with factory() as session:
        session.add(Account(id=3, owner="anna", balance=10))
        with suppress(IntegrityError):
            await session.flush()
        await session.get(Account, 1)


async def rollback_after_flush_error(
    factory: async_sessionmaker[AsyncSession],
) -> None:
    """After a flush that failed and a rollback, the session works again."""
    async with factory() as session:
        session.add(Account(id=3, owner="anna", balance=10))
        with suppress(IntegrityError):
            await session.flush()
        await session.rollback()
        session.add(Account(id=3, owner="carl", balance=10))
        await session.commit()


async def flush_error_at_commit(factory: async_sessionmaker[AsyncSession]) -> None:
    """A violation that the flush of a commit finds rolls back and travels on."""
    async with factory.begin() as session:
        session.add(Account(id=3, owner="anna", balance=10))


async def expunged_change(factory: async_sessionmaker[AsyncSession]) -> bool:
    """A change of an expunged object is not flushed."""
    async with factory.begin() as session:
        account = await session.get_one(Account, 1)
        account.balance = 0
        session.expunge(account)
    return inspect(account).detached


async def version_conflict(factory: async_sessionmaker[AsyncSession]) -> None:
    """An update of a row that has a newer version is refused and rolled back."""
    async with factory() as first:
        document = await first.get_one(Document, 1)
        await first.commit()
        async with factory.begin() as second:
            same = await second.get_one(Document, 1)
            same.title = "second"
        document.title = "first"
        await first.commit()


async def row_deleted_elsewhere(factory: async_sessionmaker[AsyncSession]) -> None:
    """A flush of several objects notices that a row of theirs is gone."""
    async with factory() as first:
        accounts = (await first.scalars(select(Account).order_by(Account.id))).all()
        async with factory.begin() as second:
            await second.execute(delete(Account).where(Account.owner == "bert"))
        for account in accounts:
            account.balance = 10
        await first.commit()


# Savepoints


async def nested_block_releases(factory: async_sessionmaker[AsyncSession]) -> None:
    """Leaving a nested block flushes and releases its savepoint."""
    async with factory.begin() as session, session.begin_nested():
        session.add(Account(id=3, owner="carl", balance=10))


async def nested_block_rolls_back(factory: async_sessionmaker[AsyncSession]) -> None:
    """An exception that leaves a nested block undoes that block alone."""
    async with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        with suppress(LookupError):
            dora = Account(id=4, owner="dora", balance=20)
            async with session.begin_nested():
                session.add(dora)
                await session.flush()
                raise LookupError


async def flush_error_in_nested_block(
    factory: async_sessionmaker[AsyncSession],
) -> None:
    """A flush that fails in a nested block spares the transaction around it."""
    async with factory.begin() as session:
        try:
            async with session.begin_nested():
                session.add(Account(id=3, owner="anna", balance=10))
        except IntegrityError:
            session.add(Account(id=4, owner="dora", balance=20))


async def nested_block_without_statement(
    factory: async_sessionmaker[AsyncSession],
) -> None:
    """A nested block that sends nothing sets no savepoint."""
    async with factory.begin() as session:
        await session.get(Account, 1)
        async with session.begin_nested():
            pass


async def commit_with_nested_open(factory: async_sessionmaker[AsyncSession]) -> None:
    """A commit releases the savepoints that are open, then commits everything."""
    async with factory() as session:
        await session.begin_nested()
        session.add(Account(id=3, owner="carl", balance=10))
        await session.commit()


async def begin_block_with_nested_open(
    factory: async_sessionmaker[AsyncSession],
) -> None:
    """Leaving the begin block ends a nested transaction that was left open."""
    async with factory.begin() as session:
        await session.begin_nested()
        session.add(Account(id=3, owner="carl", balance=10))


async def rollback_with_nested_open(factory: async_sessionmaker[AsyncSession]) -> None:
    """A rollback inside a nested transaction rolls back everything."""
    async with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        await session.begin_nested()
        session.add(Account(id=4, owner="dora", balance=20))
        await session.flush()
        await session.rollback()


# Objects


async def commit_keeps_objects_loaded(
    factory: async_sessionmaker[AsyncSession],
) -> int:
    """An object of our factory stays loaded after a commit."""
    async with factory() as session:
        account = await session.get_one(Account, 1)
        await session.commit()
        return account.balance


async def expire_on_commit(
    factory: async_sessionmaker[AsyncSession],
) -> tuple[bool, int]:
    """With expire_on_commit a commit empties the objects; refresh() fills them."""
    async with factory(expire_on_commit=True) as session:
        account = await session.get_one(Account, 1)
        await session.commit()
        expired = inspect(account).expired
        await session.refresh(account)
        return expired, account.balance


async def expire_and_refresh(
    factory: async_sessionmaker[AsyncSession],
) -> tuple[bool, int]:
    """An expired attribute is unloaded until a refresh selects it."""
    async with factory() as session:
        account = await session.get_one(Account, 1)
        session.expire(account, ["balance"])
        unloaded = "balance" in inspect(account).unloaded
        await session.refresh(account, ["balance"])
        return unloaded, account.balance


async def refresh_sees_other_commit(
    factory: async_sessionmaker[AsyncSession],
) -> tuple[int, int]:
    """A refresh in a new transaction sees what another has committed since."""
    async with factory() as session:
        account = await session.get_one(Account, 1)
        await session.commit()
        async with factory.begin() as other:
            await other.execute(
                update(Account).where(Account.id == 1).values(balance=90)
            )
        before = account.balance
        await session.refresh(account)
        return before, account.balance


async def get_finds_loaded_object(factory: async_sessionmaker[AsyncSession]) -> bool:
    """A get of an object that the session holds sends nothing."""
    async with factory() as session:
        account = await session.get(Account, 1)
        return await session.get(Account, 1) is account


async def get_of_missing_row(
    factory: async_sessionmaker[AsyncSession],
) -> Account | None:
    """A get of a row that does not exist returns None."""
    async with factory() as session:
        return await session.get(Account, 99)


async def one_row_one_object(factory: async_sessionmaker[AsyncSession]) -> bool:
    """Two queries for one row give one object."""
    async with factory() as session:
        statement = select(Account).where(Account.id == 1)
        first = await session.scalars(statement)
        second = await session.scalars(statement)
        return first.one() is second.one()


async def populate_existing(
    factory: async_sessionmaker[AsyncSession],
) -> tuple[int, int]:
    """A query leaves a loaded object as it is, unless told to populate it anew."""
    async with factory() as session:
        account = await session.get_one(Account, 1)
        await session.execute(
            update(Account).where(Account.id == 1).values(balance=90),
            execution_options={"synchronize_session": False},
        )
        statement = select(Account).where(Account.id == 1)
        await session.scalar(statement)
        before = account.balance
        await session.scalar(statement.execution_options(populate_existing=True))
        return before, account.balance


async def merge_detached(
    factory: async_sessionmaker[AsyncSession],
) -> tuple[bool, int]:
    """A merge copies a detached object's state onto the session's own object."""
    async with factory() as session:
        detached = await session.get_one(Account, 1)
    detached.balance = 90
    async with factory.begin() as session:
        merged = await session.merge(detached)
        return merged is detached, merged.balance


async def delete_object(factory: async_sessionmaker[AsyncSession]) -> bool:
    """A deleted object's row goes with the flush, the object with the commit."""
    async with factory() as session:
        document = await session.get_one(Document, 1)
        await session.delete(document)
        await session.commit()
        return document in session


async def cascading_delete(factory: async_sessionmaker[AsyncSession]) -> None:
    """A delete loads the children, and the flush deletes them first."""
    async with factory.begin() as session:
        await session.delete(await session.get_one(Account, 1))


async def delete_orphan(factory: async_sessionmaker[AsyncSession]) -> None:
    """A child that is taken out of its parent's collection is deleted."""
    async with factory.begin() as session:
        account = await session.get_one(
            Account, 1, options=[selectinload(Account.entries)]
        )
        account.entries.clear()


async def states_after_rollback(
    factory: async_sessionmaker[AsyncSession],
) -> tuple[bool, bool, bool]:
    """A rollback makes new objects transient, expires old ones, keeps deleted ones."""
    async with factory() as session:
        old = await session.get_one(Account, 1)
        deleted = await session.get_one(Account, 2)
        new = Account(id=3, owner="carl", balance=10)
        await session.delete(deleted)
        session.add(new)
        await session.flush()
        await session.rollback()
        return (
            inspect(new).transient,
            inspect(old).expired,
            inspect(deleted).persistent,
        )


# Close


async def close_detaches(
    factory: async_sessionmaker[AsyncSession],
) -> tuple[bool, int]:
    """A close gives the connection back and detaches the objects, still loaded."""
    async with factory() as session:
        account = await session.get_one(Account, 1)
        await session.close()
        return inspect(account).detached, account.balance


async def use_after_close(factory: async_sessionmaker[AsyncSession]) -> None:
    """A closed session that is used again begins again."""
    async with factory() as session:
        await session.get(Account, 1)
        await session.close()
        await session.get(Account, 1)


async def close_for_good(factory: async_sessionmaker[AsyncSession]) -> None:
    """A session with close_resets_only=False refuses work after its close."""
    async with factory(close_resets_only=False) as session:
        await session.get(Account, 1)
        await session.close()
        await session.get(Account, 1)


async def reset_for_reuse(factory: async_sessionmaker[AsyncSession]) -> None:
    """A reset leaves a session usable, whatever close_resets_only says."""
    async with factory(close_resets_only=False) as session:
        await session.get(Account, 1)
        await session.reset()
        await session.get(Account, 1)


# A session on a connection that is in a transaction


async def rollback_only_commit(engine: AsyncEngine) -> bool:
    """In rollback_only mode the session's commit flushes and ends nothing."""
    async with engine.connect() as connection:
        outer = await connection.begin()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        async with AsyncSession(
            connection, join_transaction_mode="rollback_only"
        ) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            await session.commit()
        active = outer.is_active
        await outer.rollback()
        return active


async def rollback_only_rollback(engine: AsyncEngine) -> bool:
    """In rollback_only mode the session's rollback is the outer transaction's."""
    async with engine.connect() as connection:
        outer = await connection.begin()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        async with AsyncSession(
            connection, join_transaction_mode="rollback_only"
        ) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            await session.flush()
            await session.rollback()
        return outer.is_active


async def control_fully_commit(engine: AsyncEngine) -> bool:
    """In control_fully mode the session's commit is the outer transaction's."""
    async with engine.connect() as connection:
        outer = await connection.begin()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        async with AsyncSession(
            connection, join_transaction_mode="control_fully"
        ) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            await session.commit()
        return outer.is_active


async def control_fully_close(engine: AsyncEngine) -> bool:
    """In control_fully mode the session's close rolls back the outer transaction."""
    async with engine.connect() as connection:
        outer = await connection.begin()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        async with AsyncSession(
            connection, join_transaction_mode="control_fully"
        ) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            await session.flush()
        return outer.is_active


async def create_savepoint_commit(engine: AsyncEngine) -> bool:
    """In create_savepoint mode the outer rollback undoes what the session commits."""
    async with engine.connect() as connection:
        outer = await connection.begin()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        async with AsyncSession(
            connection, join_transaction_mode="create_savepoint"
        ) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            await session.commit()
        active = outer.is_active
        await outer.rollback()
        return active


async def create_savepoint_rollback(engine: AsyncEngine) -> None:
    """In create_savepoint mode the session's rollback spares the outer transaction."""
    async with engine.begin() as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        async with AsyncSession(
            connection, join_transaction_mode="create_savepoint"
        ) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            await session.flush()
            await session.rollback()


async def conditional_savepoint_without_savepoint(engine: AsyncEngine) -> bool:
    """By default a rollback is the outer transaction's if that has no savepoint."""
    async with engine.connect() as connection:
        outer = await connection.begin()
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        async with AsyncSession(connection) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            await session.flush()
            await session.rollback()
        return outer.is_active


async def conditional_savepoint_within_savepoint(engine: AsyncEngine) -> None:
    """By default a session inside a savepoint works in a savepoint of its own."""
    async with engine.begin() as connection, connection.begin_nested():
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        async with AsyncSession(connection) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            await session.flush()
            await session.rollback()


async def savepoint_fixture(engine: AsyncEngine) -> int | None:
    """A test may commit and roll back; its outer transaction undoes it all."""
    async with engine.connect() as connection:
        outer = await connection.begin()
        async with AsyncSession(
            connection, join_transaction_mode="create_savepoint"
        ) as session:
            session.add(Account(id=3, owner="carl", balance=10))
            await session.commit()
            session.add(Account(id=4, owner="dora", balance=20))
            await session.flush()
            await session.rollback()
            count = await session.scalar(select(func.count()).select_from(Account))
        await outer.rollback()
        return count


# Statements


async def insert_returning_in_order(
    factory: async_sessionmaker[AsyncSession],
) -> Sequence[int]:
    """An INSERT of many rows is one statement and returns them in their order."""
    rows = [
        {"id": 5, "owner": "emil", "balance": 30},
        {"id": 3, "owner": "carl", "balance": 10},
        {"id": 4, "owner": "dora", "balance": 20},
    ]
    async with factory.begin() as session:
        statement = insert(Account).returning(Account.id, sort_by_parameter_order=True)
        inserted = await session.scalars(statement, rows)
        return inserted.all()


async def update_evaluated(factory: async_sessionmaker[AsyncSession]) -> int:
    """An UPDATE changes loaded objects too, evaluated without another statement."""
    async with factory.begin() as session:
        account = await session.get_one(Account, 1)
        await session.execute(
            update(Account).where(Account.id == 1).values(balance=90),
            execution_options={"synchronize_session": "evaluate"},
        )
        return account.balance


async def delete_fetched(factory: async_sessionmaker[AsyncSession]) -> bool:
    """A DELETE that fetches its keys takes loaded objects out of the session."""
    async with factory.begin() as session:
        document = await session.get_one(Document, 1)
        await session.execute(
            delete(Document).where(Document.title == "draft"),
            execution_options={"synchronize_session": "fetch"},
        )
        return document in session


async def selectinload_second_statement(
    factory: async_sessionmaker[AsyncSession],
) -> list[int]:
    """A selectinload loads the children of all parents in a second statement."""
    async with factory() as session:
        accounts = await session.scalars(
            select(Account).order_by(Account.id).options(selectinload(Account.entries))
        )
        return [len(account.entries) for account in accounts]


async def joinedload_one_statement(
    factory: async_sessionmaker[AsyncSession],
) -> list[int]:
    """A joinedload loads the children with their parents in one statement."""
    async with factory() as session:
        accounts = await session.scalars(
            select(Account).order_by(Account.id).options(joinedload(Account.entries))
        )
        return [len(account.entries) for account in accounts.unique()]


async def stream_rows(factory: async_sessionmaker[AsyncSession]) -> list[int]:
    """A streamed result reads its rows from the server bit by bit."""
    async with factory() as session:
        amounts = await session.stream_scalars(
            select(Entry.amount).order_by(Entry.id),
            execution_options={"yield_per": 1},
        )
        return [amount async for amount in amounts]


async def blocking_function(factory: async_sessionmaker[AsyncSession]) -> int:
    """A function of a blocking session runs in both worlds, lazy loads and all."""

    def booked(session: Session) -> int:
        account = session.get_one(Account, 1)
        return sum(entry.amount for entry in account.entries)

    async with factory() as session:
        return await session.run_sync(booked)


async def two_sessions(factory: async_sessionmaker[AsyncSession]) -> int | None:
    """A session does not see what another has flushed and not committed."""
    count = select(func.count()).select_from(Account)
    async with factory() as first, factory() as second:
        first.add(Account(id=3, owner="carl", balance=10))
        await first.flush()
        return await second.scalar(count)


# A unit of work


async def unit_of_work_commits(factory: async_sessionmaker[AsyncSession]) -> None:
    """Leaving a unit of work flushes and commits."""
    async with async_unit_of_work(factory) as session:
        session.add(Account(id=3, owner="carl", balance=10))


async def unit_of_work_rolls_back(factory: async_sessionmaker[AsyncSession]) -> None:
    """An exception that leaves a unit of work rolls back and travels on."""
    async with async_unit_of_work(factory) as session:
        session.add(Account(id=3, owner="carl", balance=10))
        await session.flush()
        raise LookupError


async def unit_of_work_serializable(
    factory: async_sessionmaker[AsyncSession],
) -> tuple[str, str]:
    """The isolation level of a unit of work ends with it."""
    level = text("SHOW transaction_isolation")
    async with async_unit_of_work(factory, isolation_level="SERIALIZABLE") as session:
        inside = await session.scalar(level)
    async with async_unit_of_work(factory) as session:
        return inside, await session.scalar(level)


async def unit_of_work_read_only(factory: async_sessionmaker[AsyncSession]) -> None:
    """A unit of work that is read-only refuses to write, and rolls back."""
    async with async_unit_of_work(factory, read_only=True) as session:
        session.add(Account(id=3, owner="carl", balance=10))


async def unit_of_work_for_writing(factory: async_sessionmaker[AsyncSession]) -> None:
    """A unit of work that will write has SQLite's write lock before it reads."""
    async with async_unit_of_work(factory, write=True) as session:
        account = await session.get_one(Account, 1)
        account.balance = 90

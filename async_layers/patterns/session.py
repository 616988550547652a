"""Facts of layer 3: the session, its transaction and its objects."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload, selectinload

from async_layers import unit_of_work
from async_layers.patterns.tables import Account, Document, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine
    from sqlalchemy.orm import sessionmaker

# Begin and end


def autobegin(factory: sessionmaker[Session]) -> tuple[bool, bool]:
    """A session begins, and takes a connection, with its first statement."""
    with factory() as session:
        before = session.in_transaction()
        session.get(Account, 1)
        return before, session.in_transaction()


def add_begins_without_connection(
    factory: sessionmaker[Session],
) -> bool:
    """An object that is added begins a transaction that has no connection yet."""
    with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        return session.in_transaction()


def autobegin_switched_off(factory: sessionmaker[Session]) -> None:
    """A session without autobegin refuses to work before it is begun."""
    with factory(autobegin=False) as session:
        session.get(Account, 1)


def begin_block_commits(factory: sessionmaker[Session]) -> None:
    """Leaving the begin block flushes, commits and gives the connection back."""
    with factory() as session, session.begin():
        session.add(Account(id=3, owner="carl", balance=10))


def factory_begin(factory: sessionmaker[Session]) -> None:
    """The factory's begin block is a session and its transaction in one."""
    with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))


def raise_in_begin_block(factory: sessionmaker[Session]) -> None:
    """An exception that leaves the begin block rolls back and travels on."""
    with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.flush()
        raise LookupError


def close_without_commit(factory: sessionmaker[Session]) -> None:
    """What is flushed and not committed is rolled back when the session closes."""
    with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.flush()


def commit_as_you_go(factory: sessionmaker[Session]) -> None:
    """Each commit gives the connection back; the next change begins again."""
    with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.commit()
        session.add(Account(id=4, owner="dora", balance=20))
        session.commit()


def commit_of_nothing(factory: sessionmaker[Session]) -> None:
    """A commit with nothing to flush takes no connection."""
    with factory() as session:
        session.commit()


def begin_twice(factory: sessionmaker[Session]) -> None:
    """A second begin inside the first is refused."""
    with factory() as session:
        session.begin()
        session.begin()


def begin_after_autobegin(factory: sessionmaker[Session]) -> None:
    """A begin after the first statement is refused: it has begun the session."""
    with factory() as session:
        session.get(Account, 1)
        session.begin()


def statement_after_commit_in_begin_block(
    factory: sessionmaker[Session],
) -> None:
    """A begin block that is committed inside refuses further statements."""
    with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.commit()
        session.get(Account, 1)


def transaction_states(
    factory: sessionmaker[Session],
) -> list[tuple[bool, bool]]:
    """A session tells whether it is in a transaction, and in a nested one."""
    with factory() as session:
        states = [(session.in_transaction(), session.in_nested_transaction())]
        with session.begin() as outer:
            states.append((session.in_transaction(), session.in_nested_transaction()))
            with session.begin_nested() as nested:
                states += [
                    (session.in_transaction(), session.in_nested_transaction()),
                    (
                        session.get_transaction() is outer,
                        session.get_nested_transaction() is nested,
                    ),
                ]
        return states


def session_connection(factory: sessionmaker[Session]) -> None:
    """The session's connection shares its transaction with the session."""
    with factory() as session:
        connection = session.connection()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        session.commit()


# Flush


def flush_before_query(
    factory: sessionmaker[Session],
) -> Sequence[str]:
    """A query flushes what is pending first, and so finds it."""
    with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        owners = session.scalars(select(Account.owner).order_by(Account.id))
        return owners.all()


def no_autoflush(factory: sessionmaker[Session]) -> Sequence[str]:
    """A query in a no_autoflush block does not find what is pending."""
    with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        with session.no_autoflush:
            owners = session.scalars(select(Account.owner).order_by(Account.id))
        return owners.all()


def flush_inserts_parents_first(
    factory: sessionmaker[Session],
) -> None:
    """A flush inserts a parent before its child, in whatever order they came."""
    with factory.begin() as session:
        entry = Entry(id=3, amount=10)
        session.add(entry)
        entry.account = Account(id=3, owner="carl", balance=10)


def flush_batches_rows(factory: sessionmaker[Session]) -> None:
    """A flush inserts the new rows of one table together."""
    with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.add(Account(id=4, owner="dora", balance=20))


def flush_error_rolls_back_everything(
    factory: sessionmaker[Session],
) -> None:
    """A flush that fails rolls back all of its transaction, earlier flushes too."""
    with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.flush()
        session.add(Account(id=4, owner="anna", balance=20))
        session.flush()


def pending_rollback(factory: sessionmaker[Session]) -> None:
    """After a flush that failed, the session refuses work until it is rolled back."""
    with factory() as session:
        session.add(Account(id=3, owner="anna", balance=10))
        with suppress(IntegrityError):
            session.flush()
        session.get(Account, 1)


def rollback_after_flush_error(
    factory: sessionmaker[Session],
) -> None:
    """After a flush that failed and a rollback, the session works again."""
    with factory() as session:
        session.add(Account(id=3, owner="anna", balance=10))
        with suppress(IntegrityError):
            session.flush()
        session.rollback()
        session.add(Account(id=3, owner="carl", balance=10))
        session.commit()


def flush_error_at_commit(factory: sessionmaker[Session]) -> None:
    """A violation that the flush of a commit finds rolls back and travels on."""
    with factory.begin() as session:
        session.add(Account(id=3, owner="anna", balance=10))


def expunged_change(factory: sessionmaker[Session]) -> bool:
    """A change of an expunged object is not flushed."""
    with factory.begin() as session:
        account = session.get_one(Account, 1)
        account.balance = 0
        session.expunge(account)
    return inspect(account).detached


def version_conflict(factory: sessionmaker[Session]) -> None:
    """An update of a row that has a newer version is refused and rolled back."""
    with factory() as first:
        document = first.get_one(Document, 1)
        first.commit()
        with factory.begin() as second:
            same = second.get_one(Document, 1)
            same.title = "second"
        document.title = "first"
        first.commit()


def row_deleted_elsewhere(factory: sessionmaker[Session]) -> None:
    """A flush of several objects notices that a row of theirs is gone."""
    with factory() as first:
        accounts = first.scalars(select(Account).order_by(Account.id)).all()
        with factory.begin() as second:
            second.execute(delete(Account).where(Account.owner == "bert"))
        for account in accounts:
            account.balance = 10
        first.commit()


# Savepoints


def nested_block_releases(factory: sessionmaker[Session]) -> None:
    """Leaving a nested block flushes and releases its savepoint."""
    with factory.begin() as session, session.begin_nested():
        session.add(Account(id=3, owner="carl", balance=10))


def nested_block_rolls_back(factory: sessionmaker[Session]) -> None:
    """An exception that leaves a nested block undoes that block alone."""
    with factory.begin() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        with suppress(LookupError):
            dora = Account(id=4, owner="dora", balance=20)
            with session.begin_nested():
                session.add(dora)
                session.flush()
                raise LookupError


def flush_error_in_nested_block(
    factory: sessionmaker[Session],
) -> None:
    """A flush that fails in a nested block spares the transaction around it."""
    with factory.begin() as session:
        try:
            with session.begin_nested():
                session.add(Account(id=3, owner="anna", balance=10))
        except IntegrityError:
            session.add(Account(id=4, owner="dora", balance=20))


def nested_block_without_statement(
    factory: sessionmaker[Session],
) -> None:
    """A nested block that sends nothing sets no savepoint."""
    with factory.begin() as session:
        session.get(Account, 1)
        with session.begin_nested():
            pass


def commit_with_nested_open(factory: sessionmaker[Session]) -> None:
    """A commit releases the savepoints that are open, then commits everything."""
    with factory() as session:
        session.begin_nested()
        session.add(Account(id=3, owner="carl", balance=10))
        session.commit()


def begin_block_with_nested_open(
    factory: sessionmaker[Session],
) -> None:
    """Leaving the begin block ends a nested transaction that was left open."""
    with factory.begin() as session:
        session.begin_nested()
        session.add(Account(id=3, owner="carl", balance=10))


def rollback_with_nested_open(factory: sessionmaker[Session]) -> None:
    """A rollback inside a nested transaction rolls back everything."""
    with factory() as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.begin_nested()
        session.add(Account(id=4, owner="dora", balance=20))
        session.flush()
        session.rollback()


# Objects


def commit_keeps_objects_loaded(
    factory: sessionmaker[Session],
) -> int:
    """An object of our factory stays loaded after a commit."""
    with factory() as session:
        account = session.get_one(Account, 1)
        session.commit()
        return account.balance


def expire_on_commit(
    factory: sessionmaker[Session],
) -> tuple[bool, int]:
    """With expire_on_commit a commit empties the objects; refresh() fills them."""
    with factory(expire_on_commit=True) as session:
        account = session.get_one(Account, 1)
        session.commit()
        expired = inspect(account).expired
        session.refresh(account)
        return expired, account.balance


def expire_and_refresh(
    factory: sessionmaker[Session],
) -> tuple[bool, int]:
    """An expired attribute is unloaded until a refresh selects it."""
    with factory() as session:
        account = session.get_one(Account, 1)
        session.expire(account, ["balance"])
        unloaded = "balance" in inspect(account).unloaded
        session.refresh(account, ["balance"])
        return unloaded, account.balance


def refresh_sees_other_commit(
    factory: sessionmaker[Session],
) -> tuple[int, int]:
    """A refresh in a new transaction sees what another has committed since."""
    with factory() as session:
        account = session.get_one(Account, 1)
        session.commit()
        with factory.begin() as other:
            other.execute(update(Account).where(Account.id == 1).values(balance=90))
        before = account.balance
        session.refresh(account)
        return before, account.balance


def get_finds_loaded_object(factory: sessionmaker[Session]) -> bool:
    """A get of an object that the session holds sends nothing."""
    with factory() as session:
        account = session.get(Account, 1)
        return session.get(Account, 1) is account


def get_of_missing_row(
    factory: sessionmaker[Session],
) -> Account | None:
    """A get of a row that does not exist returns None."""
    with factory() as session:
        return session.get(Account, 99)


def one_row_one_object(factory: sessionmaker[Session]) -> bool:
    """Two queries for one row give one object."""
    with factory() as session:
        statement = select(Account).where(Account.id == 1)
        first = session.scalars(statement)
        second = session.scalars(statement)
        return first.one() is second.one()


def populate_existing(
    factory: sessionmaker[Session],
) -> tuple[int, int]:
    """A query leaves a loaded object as it is, unless told to populate it anew."""
    with factory() as session:
        account = session.get_one(Account, 1)
        session.execute(
            update(Account).where(Account.id == 1).values(balance=90),
            execution_options={"synchronize_session": False},
        )
        statement = select(Account).where(Account.id == 1)
        session.scalar(statement)
        before = account.balance
        session.scalar(statement.execution_options(populate_existing=True))
        return before, account.balance


def merge_detached(
    factory: sessionmaker[Session],
) -> tuple[bool, int]:
    """A merge copies a detached object's state onto the session's own object."""
    with factory() as session:
        detached = session.get_one(Account, 1)
    detached.balance = 90
    with factory.begin() as session:
        merged = session.merge(detached)
        return merged is detached, merged.balance


def delete_object(factory: sessionmaker[Session]) -> bool:
    """A deleted object's row goes with the flush, the object with the commit."""
    with factory() as session:
        document = session.get_one(Document, 1)
        session.delete(document)
        session.commit()
        return document in session


def cascading_delete(factory: sessionmaker[Session]) -> None:
    """A delete loads the children, and the flush deletes them first."""
    with factory.begin() as session:
        session.delete(session.get_one(Account, 1))


def delete_orphan(factory: sessionmaker[Session]) -> None:
    """A child that is taken out of its parent's collection is deleted."""
    with factory.begin() as session:
        account = session.get_one(Account, 1, options=[selectinload(Account.entries)])
        account.entries.clear()


def states_after_rollback(
    factory: sessionmaker[Session],
) -> tuple[bool, bool, bool]:
    """A rollback makes new objects transient, expires old ones, keeps deleted ones."""
    with factory() as session:
        old = session.get_one(Account, 1)
        deleted = session.get_one(Account, 2)
        new = Account(id=3, owner="carl", balance=10)
        session.delete(deleted)
        session.add(new)
        session.flush()
        session.rollback()
        return (
            inspect(new).transient,
            inspect(old).expired,
            inspect(deleted).persistent,
        )


# Close


def close_detaches(
    factory: sessionmaker[Session],
) -> tuple[bool, int]:
    """A close gives the connection back and detaches the objects, still loaded."""
    with factory() as session:
        account = session.get_one(Account, 1)
        session.close()
        return inspect(account).detached, account.balance


def use_after_close(factory: sessionmaker[Session]) -> None:
    """A closed session that is used again begins again."""
    with factory() as session:
        session.get(Account, 1)
        session.close()
        session.get(Account, 1)


def close_for_good(factory: sessionmaker[Session]) -> None:
    """A session with close_resets_only=False refuses work after its close."""
    with factory(close_resets_only=False) as session:
        session.get(Account, 1)
        session.close()
        session.get(Account, 1)


def reset_for_reuse(factory: sessionmaker[Session]) -> None:
    """A reset leaves a session usable, whatever close_resets_only says."""
    with factory(close_resets_only=False) as session:
        session.get(Account, 1)
        session.reset()
        session.get(Account, 1)


# A session on a connection that is in a transaction


def rollback_only_commit(engine: Engine) -> bool:
    """In rollback_only mode the session's commit flushes and ends nothing."""
    with engine.connect() as connection:
        outer = connection.begin()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        with Session(connection, join_transaction_mode="rollback_only") as session:
            session.add(Account(id=4, owner="dora", balance=20))
            session.commit()
        active = outer.is_active
        outer.rollback()
        return active


def rollback_only_rollback(engine: Engine) -> bool:
    """In rollback_only mode the session's rollback is the outer transaction's."""
    with engine.connect() as connection:
        outer = connection.begin()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        with Session(connection, join_transaction_mode="rollback_only") as session:
            session.add(Account(id=4, owner="dora", balance=20))
            session.flush()
            session.rollback()
        return outer.is_active


def control_fully_commit(engine: Engine) -> bool:
    """In control_fully mode the session's commit is the outer transaction's."""
    with engine.connect() as connection:
        outer = connection.begin()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        with Session(connection, join_transaction_mode="control_fully") as session:
            session.add(Account(id=4, owner="dora", balance=20))
            session.commit()
        return outer.is_active


def control_fully_close(engine: Engine) -> bool:
    """In control_fully mode the session's close rolls back the outer transaction."""
    with engine.connect() as connection:
        outer = connection.begin()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        with Session(connection, join_transaction_mode="control_fully") as session:
            session.add(Account(id=4, owner="dora", balance=20))
            session.flush()
        return outer.is_active


def create_savepoint_commit(engine: Engine) -> bool:
    """In create_savepoint mode the outer rollback undoes what the session commits."""
    with engine.connect() as connection:
        outer = connection.begin()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.add(Account(id=4, owner="dora", balance=20))
            session.commit()
        active = outer.is_active
        outer.rollback()
        return active


def create_savepoint_rollback(engine: Engine) -> None:
    """In create_savepoint mode the session's rollback spares the outer transaction."""
    with engine.begin() as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.add(Account(id=4, owner="dora", balance=20))
            session.flush()
            session.rollback()


def conditional_savepoint_without_savepoint(engine: Engine) -> bool:
    """By default a rollback is the outer transaction's if that has no savepoint."""
    with engine.connect() as connection:
        outer = connection.begin()
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        with Session(connection) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            session.flush()
            session.rollback()
        return outer.is_active


def conditional_savepoint_within_savepoint(engine: Engine) -> None:
    """By default a session inside a savepoint works in a savepoint of its own."""
    with engine.begin() as connection, connection.begin_nested():
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        with Session(connection) as session:
            session.add(Account(id=4, owner="dora", balance=20))
            session.flush()
            session.rollback()


def savepoint_fixture(engine: Engine) -> int | None:
    """A test may commit and roll back; its outer transaction undoes it all."""
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.add(Account(id=3, owner="carl", balance=10))
            session.commit()
            session.add(Account(id=4, owner="dora", balance=20))
            session.flush()
            session.rollback()
            count = session.scalar(select(func.count()).select_from(Account))
        outer.rollback()
        return count


# Statements


def insert_returning_in_order(
    factory: sessionmaker[Session],
) -> Sequence[int]:
    """An INSERT of many rows is one statement and returns them in their order."""
    rows = [
        {"id": 5, "owner": "emil", "balance": 30},
        {"id": 3, "owner": "carl", "balance": 10},
        {"id": 4, "owner": "dora", "balance": 20},
    ]
    with factory.begin() as session:
        statement = insert(Account).returning(Account.id, sort_by_parameter_order=True)
        inserted = session.scalars(statement, rows)
        return inserted.all()


def update_evaluated(factory: sessionmaker[Session]) -> int:
    """An UPDATE changes loaded objects too, evaluated without another statement."""
    with factory.begin() as session:
        account = session.get_one(Account, 1)
        session.execute(
            update(Account).where(Account.id == 1).values(balance=90),
            execution_options={"synchronize_session": "evaluate"},
        )
        return account.balance


def delete_fetched(factory: sessionmaker[Session]) -> bool:
    """A DELETE that fetches its keys takes loaded objects out of the session."""
    with factory.begin() as session:
        document = session.get_one(Document, 1)
        session.execute(
            delete(Document).where(Document.title == "draft"),
            execution_options={"synchronize_session": "fetch"},
        )
        return document in session


def selectinload_second_statement(
    factory: sessionmaker[Session],
) -> list[int]:
    """A selectinload loads the children of all parents in a second statement."""
    with factory() as session:
        accounts = session.scalars(
            select(Account).order_by(Account.id).options(selectinload(Account.entries))
        )
        return [len(account.entries) for account in accounts]


def joinedload_one_statement(
    factory: sessionmaker[Session],
) -> list[int]:
    """A joinedload loads the children with their parents in one statement."""
    with factory() as session:
        accounts = session.scalars(
            select(Account).order_by(Account.id).options(joinedload(Account.entries))
        )
        return [len(account.entries) for account in accounts.unique()]


def stream_rows(factory: sessionmaker[Session]) -> list[int]:
    """A streamed result reads its rows from the server bit by bit."""
    with factory() as session:
        amounts = session.scalars(
            select(Entry.amount).order_by(Entry.id),
            execution_options={"yield_per": 1},
        )
        return list(amounts)


def blocking_function(factory: sessionmaker[Session]) -> int:
    """A function of a blocking session runs in both worlds, lazy loads and all."""

    def booked(session: Session) -> int:
        account = session.get_one(Account, 1)
        return sum(entry.amount for entry in account.entries)

    with factory() as session:
        return booked(session)


def two_sessions(factory: sessionmaker[Session]) -> int | None:
    """A session does not see what another has flushed and not committed."""
    count = select(func.count()).select_from(Account)
    with factory() as first, factory() as second:
        first.add(Account(id=3, owner="carl", balance=10))
        first.flush()
        return second.scalar(count)


# A unit of work


def unit_of_work_commits(factory: sessionmaker[Session]) -> None:
    """Leaving a unit of work flushes and commits."""
    with unit_of_work(factory) as session:
        session.add(Account(id=3, owner="carl", balance=10))


def unit_of_work_rolls_back(factory: sessionmaker[Session]) -> None:
    """An exception that leaves a unit of work rolls back and travels on."""
    with unit_of_work(factory) as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.flush()
        raise LookupError


def unit_of_work_serializable(
    factory: sessionmaker[Session],
) -> tuple[str, str]:
    """The isolation level of a unit of work ends with it."""
    level = text("SHOW transaction_isolation")
    with unit_of_work(factory, isolation_level="SERIALIZABLE") as session:
        inside = session.scalar(level)
    with unit_of_work(factory) as session:
        return inside, session.scalar(level)


def unit_of_work_read_only(factory: sessionmaker[Session]) -> None:
    """A unit of work that is read-only refuses to write, and rolls back."""
    with unit_of_work(factory, read_only=True) as session:
        session.add(Account(id=3, owner="carl", balance=10))


def unit_of_work_for_writing(factory: sessionmaker[Session]) -> None:
    """A unit of work that will write has SQLite's write lock before it reads."""
    with unit_of_work(factory, write=True) as session:
        account = session.get_one(Account, 1)
        account.balance = 90

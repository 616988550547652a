"""Facts of transactions that survive: their outcome, and what happens after it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select
from sqlalchemy.exc import TimeoutError  # noqa: A004 - the pool's

from async_layers import (
    Outcome,
    Retry,
    attempt_number,
    engine_scope,
    on_commit,
    run_transaction,
    run_unit_of_work,
    savepoint,
    transaction,
    unit_of_work,
)
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session, sessionmaker

# Accounts 1 (anna, 100) and 2 (bert, 50) are there when a fact begins.
CARL = {"id": 3, "owner": "carl", "balance": 10}


# The outcome


def outcome_of_commit(engine: Engine) -> Outcome | None:
    """A scope that has committed says so."""
    scope = transaction(engine)
    with scope as connection:
        connection.execute(insert(Account), CARL)
    return scope.outcome


def outcome_of_rollback(engine: Engine) -> tuple[Outcome | None, list[str]]:
    """A scope that has rolled back says so, and so does the exception."""
    scope = transaction(engine)
    try:
        with scope as connection:
            connection.execute(insert(Account), CARL)
            raise LookupError  # noqa: TRY301 - it leaves the scope first
    except LookupError as error:
        return scope.outcome, error.__notes__


def outcome_of_unit_of_work(factory: sessionmaker[Session]) -> Outcome | None:
    """A unit of work that has committed says so."""
    scope = unit_of_work(factory)
    with scope as session:
        session.add(Account(**CARL))
    return scope.outcome


def outcome_of_savepoint(engine: Engine) -> tuple[Outcome | None, Outcome | None]:
    """A savepoint is released or rolled back; the transaction around it decides."""
    with transaction(engine) as connection:
        released, rolled_back = savepoint(connection), savepoint(connection)
        with released:
            connection.execute(insert(Account), CARL)
        try:
            with rolled_back:
                raise LookupError  # noqa: TRY301 - it leaves the scope first
        except LookupError:
            return released.outcome, rolled_back.outcome


# After the commit


def hooks_after_commit(engine: Engine) -> list[object]:
    """Hooks run in their order after the commit, when the connection is back."""
    said = list[object]()

    def count() -> None:
        with transaction(engine) as connection:
            said.append(connection.scalar(select(func.count(Account.id))))

    with transaction(engine) as connection:
        on_commit(connection, said.append, "committed")
        on_commit(connection, count)
        connection.execute(insert(Account), CARL)
    return said


def hooks_after_rollback(
    factory: sessionmaker[Session],
) -> list[object]:
    """Hooks do not run after a rollback."""
    said = list[object]()
    try:
        with unit_of_work(factory) as session:
            session.add(Account(**CARL))
            on_commit(session, said.append, "committed")
            session.flush()
            raise LookupError  # noqa: TRY301 - it leaves the scope first
    except LookupError:
        return said


def hooks_of_savepoints(engine: Engine) -> list[object]:
    """A hook within a savepoint that is rolled back is dropped with it."""
    said = list[object]()
    with transaction(engine) as connection:
        with savepoint(connection):
            on_commit(connection, said.append, "released")
        nested = connection.begin_nested()
        on_commit(connection, said.append, "rolled back")
        nested.rollback()
    return said


def hooks_that_fail(engine: Engine) -> list[object]:
    """A hook that fails undoes nothing, stops no other, and reaches the caller."""
    said = list[object]()
    try:
        with transaction(engine) as connection:
            on_commit(connection, int, "no number")
            on_commit(connection, said.append, "committed")
            connection.execute(insert(Account), CARL)
    except ExceptionGroup as group:
        said.append(group.message)
    return said


# Implicit I/O


def refresh_of_one_attribute(factory: sessionmaker[Session]) -> int:
    """A refresh loads the attribute that it names, where reading it cannot."""
    with factory() as session:
        account = session.get_one(Account, 1)
        session.refresh(account, ["entries"])
        return len(account.entries)


# Running again

AGAIN = Retry(wait_initial=0, retryable=lambda error: isinstance(error, LookupError))


def run_again_as_a_whole(engine: Engine) -> int:
    """A transaction that fails is run again as a whole: what it wrote is there once."""

    def work(connection: Connection) -> int:
        connection.execute(insert(Account), CARL)
        if attempt_number() == 1:
            raise LookupError
        return attempt_number()

    return run_transaction(engine, work, retry=AGAIN)


def run_again_with_a_fresh_session(factory: sessionmaker[Session]) -> int:
    """Each attempt has a session of its own, without what an earlier one changed."""

    def work(session: Session) -> int:
        account = session.get_one(Account, 1)
        account.balance += 1
        if attempt_number() == 1:
            raise LookupError
        return account.balance

    return run_unit_of_work(factory, work, retry=AGAIN)


def run_inside_a_transaction(engine: Engine) -> None:
    """A call inside an open transaction is refused: it is no whole."""
    with transaction(engine) as connection:
        connection.execute(insert(Account), CARL)
        run_transaction(engine, lambda inner: inner.execute(insert(Account), CARL))


# The deadline


def deadline_in_time(engine: Engine) -> Outcome | None:
    """A scope that ends within its deadline is as any other; PostgreSQL is told it."""
    scope = transaction(engine, deadline=60)
    with scope as connection:
        connection.execute(insert(Account), CARL)
    return scope.outcome


def deadline_that_is_over(engine: Engine) -> None:
    """A scope whose time is over asks for nothing, not even for a connection."""
    with transaction(engine, deadline=1e-9) as connection:
        connection.execute(insert(Account), CARL)


# The pool


def pool_names_who_holds_it(engine: Engine) -> bool:
    """The error of an exhausted pool names the line that has each connection."""
    one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
    with engine_scope(engine.url, **one) as small, transaction(small):
        try:
            with transaction(small):
                return False
        except TimeoutError as error:
            return "in pool_names_who_holds_it, " in str(error)


# The guard


def rollback_by_another(engine: Engine) -> str:
    """A rollback by another is refused while who began lives: nothing is lost."""
    with transaction(engine) as connection, ThreadPoolExecutor(1) as other:
        connection.execute(insert(Account), CARL)
        refused = other.submit(connection.rollback).exception()
    return type(refused).__name__

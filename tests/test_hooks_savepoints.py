"""Hooks in savepoints, and in transactions around their session, in blocking code."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker as plain_sessionmaker

from async_layers import (
    engine_scope,
    on_commit,
    savepoint,
    sessionmaker,
    transaction,
    unit_of_work,
)
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import NestedTransaction
    from sqlalchemy.orm import SessionTransaction

    from async_layers._proof.scratch import Scratch

CARL = insert(Account).values(id=3, owner="carl", balance=10)
COUNT = select(func.count(Account.id))


@pytest.fixture
def engine(sqlite_place: Scratch) -> Iterator[Engine]:
    """Return an engine of one connection, on fresh tables."""
    sqlite_place.fresh()
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    with engine_scope(sqlite_place.urls["sync"], **options) as opened:
        yield opened


@pytest.fixture
def said() -> list[object]:
    """Return what the hooks have said."""
    return []


def released(connection: Connection, hook: Callable[[], None]) -> None:
    """Register in a savepoint that is released."""
    with savepoint(connection):
        hook()


def by_helper(connection: Connection, hook: Callable[[], None]) -> None:
    """Register in a savepoint that is rolled back."""
    with pytest.raises(LookupError), savepoint(connection):
        hook()
        raise LookupError


def by_sqlalchemy(connection: Connection, hook: Callable[[], None]) -> None:
    """Register in a savepoint of SQLAlchemy's, that is rolled back."""
    nested: NestedTransaction = connection.begin_nested()
    hook()
    nested.rollback()


def released_inside(connection: Connection, hook: Callable[[], None]) -> None:
    """Register in a released savepoint, in one that is rolled back."""
    with pytest.raises(LookupError), savepoint(connection):
        released(connection, hook)
        raise LookupError


def outer_first(connection: Connection, hook: Callable[[], None]) -> None:
    """Register in a savepoint that ends with the one around it."""
    outer = connection.begin_nested()
    connection.begin_nested()
    hook()
    outer.close()


UNDONE = [by_helper, by_sqlalchemy, released_inside, outer_first]


@pytest.mark.filterwarnings("ignore:nested transaction already deassociated")
@pytest.mark.parametrize("way", UNDONE)
def test_hook_in_a_savepoint_that_is_rolled_back_is_dropped(
    way: Callable[[Connection, Callable[[], None]], None],
    engine: Engine,
    said: list[object],
) -> None:
    """A hook shares the fate of the savepoints around it, in either layer."""
    with transaction(engine) as connection:
        on_commit(connection, said.append, 1)
        released(connection, partial(on_commit, connection, said.append, 2))
        way(connection, partial(on_commit, connection, said.append, "undone"))
        on_commit(connection, said.append, 3)
    with unit_of_work(sessionmaker(engine)) as session:
        connection = session.connection()
        released(connection, partial(on_commit, session, said.append, 4))
        way(connection, partial(on_commit, session, said.append, "undone"))
    assert [1, 2, 3, 4] == said


def test_hook_in_a_savepoint_that_is_left_open_runs(
    engine: Engine, said: list[object]
) -> None:
    """COMMIT releases what savepoints there are."""
    with transaction(engine) as connection:
        connection.begin_nested()
        on_commit(connection, said.append, 1)
    with unit_of_work(sessionmaker(engine)) as session:
        session.begin_nested()
        on_commit(session, said.append, 2)
    assert [1, 2] == said


@pytest.mark.parametrize("used", [False, True])
def test_hook_in_a_nested_transaction_of_a_session_shares_its_fate(
    engine: Engine, said: list[object], *, used: bool
) -> None:
    """It does so where the database never hears of the nested transaction, too."""

    def nest(session: Session, what: object) -> SessionTransaction:
        nested = session.begin_nested()
        on_commit(session, said.append, what)
        if used:
            session.scalar(COUNT)
        return nested

    with unit_of_work(sessionmaker(engine)) as session:
        nest(session, 1).commit()
        nest(session, "undone").rollback()
        nest(session, "undone").close()
        outer = nest(session, "undone")
        nest(session, "undone").commit()
        outer.rollback()
        outer = nest(session, 2)
        nest(session, "undone").rollback()
        outer.commit()
    assert [1, 2] == said


def test_hook_of_a_flush_that_failed_in_a_nested_transaction_is_dropped(
    engine: Engine, said: list[object]
) -> None:
    """A flush that fails rolls the nested transaction back, and that alone."""
    with unit_of_work(sessionmaker(engine)) as session:
        on_commit(session, said.append, 1)
        with pytest.raises(SQLAlchemyError), session.begin_nested():
            on_commit(session, said.append, "undone")
            session.add(Account(id=1, owner="twice", balance=0))
    assert [1] == said


# A session that asks for nothing, or whose transaction is another's


@pytest.mark.parametrize(("undo", "expected"), [(False, [1]), (True, [])])
def test_unit_of_work_that_asked_for_nothing_knows_how_it_ended(
    engine: Engine, said: list[object], expected: list[int], *, undo: bool
) -> None:
    """Its hooks run after a commit that no database was told of."""
    with unit_of_work(sessionmaker(engine)) as session:
        on_commit(session, said.append, 1)
        if undo:
            session.rollback()
    assert expected == said


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [(False, False, [1, 2]), (True, False, [1]), (False, True, [])],
)
def test_hooks_of_a_session_on_a_connection_wait_for_that_one(
    engine: Engine,
    said: list[object],
    expected: list[int],
    *,
    inner: bool,
    outer: bool,
) -> None:
    """A unit of work inside a transaction leaves it its hooks; a test may undo both."""
    with transaction(engine) as connection:
        factory = plain_sessionmaker(
            connection, join_transaction_mode="create_savepoint"
        )
        on_commit(connection, said.append, 1)
        with unit_of_work(factory) as session:
            on_commit(session, said.append, 2)
            session.execute(CARL)
            if inner:
                session.rollback()
        assert [] == said
        if outer:
            connection.rollback()
    assert expected == said


def test_hooks_of_a_session_on_a_connection_without_a_scope_run_never(
    engine: Engine, said: list[object]
) -> None:
    """Nobody knows when the transaction ends that the session was bound to."""
    with engine.begin() as connection, unit_of_work(Session) as session:  # type: ignore[arg-type] # a factory of one
        session.bind = connection
        on_commit(session, said.append, 1)
        session.execute(CARL)
    assert [] == said

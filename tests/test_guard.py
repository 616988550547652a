"""What two threads would do to each other in one transaction is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError

from async_layers import (
    GuardError,
    Outcome,
    engine_scope,
    read,
    sessionmaker,
    transaction,
    unit_of_work,
)
from async_layers._layers.guard import guarding
from async_layers.patterns.tables import Account
from tests._living import LIMIT, HeldThread, OtherThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from async_layers._proof.scratch import Scratch

ONE = text("SELECT 1")
HELD = text("SELECT 1 /* held */")
CARL = insert(Account).values(id=3, owner="carl", balance=7)
ENDS = ["commit", "rollback", "close", "invalidate"]


@pytest.fixture
def engine(sqlite_place: Scratch) -> Iterator[Engine]:
    """Return an engine on SQLite whose connections go from thread to thread."""
    sqlite_place.fresh()
    with engine_scope(
        sqlite_place.urls["sync"], connect_args={"check_same_thread": False}
    ) as engine:
        yield engine
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


@pytest.fixture
def other() -> Iterator[OtherThread]:
    """Return another thread, which lives."""
    with OtherThread() as other:
        yield other


def refused(*words: str) -> Any:
    """Expect the guard's error, with these words."""
    return pytest.raises(GuardError, match="(?s)" + ".*".join(words))


def test_rollback_of_another_thread_discards_nothing(
    place: Scratch, other: OtherThread
) -> None:
    """A inserts, B's rollback is refused, A commits, and A's row is there."""
    with engine_scope(place.urls["sync"]) as engine:
        with transaction(engine) as connection:
            connection.execute(CARL)
            with refused(r"rollback\(\)", "'other'", r"execute\(\)", "hand_over"):
                other.do(connection.rollback)
    assert "account 3 carl 7" in (place.rows() or [])


def test_rollback_of_another_thread_discards_nothing_of_a_session(
    place: Scratch, other: OtherThread
) -> None:
    """The same for sessions, of which B does not see the rows either."""
    with engine_scope(place.urls["sync"]) as engine:
        with sessionmaker(engine)() as session:
            session.add(Account(id=3, owner="carl", balance=7))
            with refused(r"rollback\(\)", "'other'", r"add\(\)"):
                other.do(session.rollback)
            session.commit()
    assert "account 3 carl 7" in (place.rows() or [])


@pytest.mark.parametrize("what", ["execute", "commit", "close", "add"])
def test_operation_while_another_is_in_flight_is_refused(
    what: str, engine: Engine, other: OtherThread
) -> None:
    """A session that works for one thread does not work for another."""
    held = HeldThread(engine)
    with sessionmaker(engine)() as session:
        arguments: tuple[Any, ...] = {"execute": (ONE,), "add": (Account(),)}.get(
            what, ()
        )
        statement = other.begin(lambda: session.execute(HELD))
        assert held.begun.wait(LIMIT)
        with refused(what, "MainThread", "execute", "'other'", "in flight"):
            getattr(session, what)(*arguments)
        held.gate.set()
        statement.result(LIMIT)


def test_block_is_left_when_the_operation_in_flight_is_over(
    engine: Engine, other: OtherThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving a block waits for another's statement, and then rolls back."""
    held = HeldThread(engine)

    def let_go(_: object) -> float:
        held.gate.set()
        return LIMIT

    # It is asked for how long to wait when it has been decided to wait.
    monkeypatch.setattr(guarding, "patience", let_go)
    scope = transaction(engine)
    with refused("commit", "in flight"):
        with scope as connection:
            statement = other.begin(lambda: connection.execute(HELD))
            assert held.begun.wait(LIMIT)
    statement.result(LIMIT)
    assert Outcome.ROLLED_BACK is scope.outcome


def test_operation_that_does_not_end_is_cut_off(
    sqlite_place: Scratch, other: OtherThread
) -> None:
    """After `finish_within` seconds the link is cut, and the block is left."""
    with engine_scope(
        sqlite_place.urls["sync"],
        connect_args={"check_same_thread": False},
        execution_options={"finish_within": 0.05},
    ) as engine:
        held = HeldThread(engine)
        session = sessionmaker(engine)()
        statement = other.begin(lambda: session.execute(HELD))
        assert held.begun.wait(LIMIT)
        with refused("close", "in flight"):
            session.__exit__(None, None, None)
        held.gate.set()
        with pytest.raises(OperationalError):
            statement.result(LIMIT)
        session.__exit__(None, None, None)
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


def test_use_in_turns_is_refused(engine: Engine) -> None:
    """A, B, A in one transaction is refused while B lives, and right afterwards."""
    with transaction(engine) as connection:
        connection.execute(ONE)
        with OtherThread() as other:
            other.do(lambda: connection.execute(ONE))
            with refused("scalar", "execute", "'other'", "while both live"):
                connection.scalar(ONE)
        assert 1 == connection.scalar(ONE)


def test_commit_of_work_in_turns_is_refused(engine: Engine, other: OtherThread) -> None:
    """A block whose transaction another living thread has used is rolled back."""
    scope = unit_of_work(sessionmaker(engine))
    with refused("commit", "'other'", "while both live") as caught:
        with scope as session:
            session.execute(CARL)
            other.do(lambda: session.execute(ONE))
    assert Outcome.ROLLED_BACK is scope.outcome
    assert ["The transaction was rolled back."] == caught.value.__notes__


def test_reading_in_turns_is_right(engine: Engine, other: OtherThread) -> None:
    """Statements in autocommit have no transaction that two could share."""
    with read(engine) as connection:
        connection.execute(ONE)
        other.do(lambda: connection.execute(ONE))
        assert 1 == connection.scalar(ONE)


@pytest.mark.parametrize("end", ENDS)
def test_end_by_another_thread_is_refused(
    end: str, engine: Engine, other: OtherThread
) -> None:
    """A connection's transaction is ended by who began it."""
    with transaction(engine) as connection:
        with refused(end, "'other'", r"begin\(\)", "which began the transaction"):
            other.do(getattr(connection, end))
        assert 1 == connection.scalar(ONE)


@pytest.mark.parametrize("end", [*ENDS, "reset"])
def test_end_of_a_session_by_another_thread_is_refused(
    end: str, engine: Engine, other: OtherThread
) -> None:
    """A session's transaction is ended by who began it."""
    with unit_of_work(sessionmaker(engine)) as session:
        with refused("which began the transaction"):
            other.do(getattr(session, end))
        assert 1 == session.scalar(ONE)


def test_transaction_object_is_guarded_too(engine: Engine, other: OtherThread) -> None:
    """Another thread does not get around it by the transaction itself."""
    with unit_of_work(sessionmaker(engine)) as session:
        for found in (
            session.get_transaction(),
            session.connection().get_transaction(),
        ):
            assert found is not None
            with refused("rollback", "which began the transaction"):
                other.do(found.rollback)
        assert session.get_nested_transaction() is None
        assert session.connection().get_nested_transaction() is None


def test_savepoint_is_ended_by_who_set_it(engine: Engine, other: OtherThread) -> None:
    """A savepoint has an owner of its own, of a connection and of a session."""
    with transaction(engine) as connection, connection.begin_nested() as nested:
        with refused("rollback", "'other'"):
            other.do(nested.rollback)
    with unit_of_work(sessionmaker(engine)) as session, session.begin_nested() as inner:
        with refused("rollback", "'other'"):
            other.do(inner.rollback)


# Right uses


def test_thread_that_is_waited_for_is_right(engine: Engine) -> None:
    """What a thread does that has ended before its parent goes on is right."""
    with transaction(engine) as connection:
        for _ in range(2):
            with OtherThread() as other:
                other.do(lambda: connection.execute(ONE))
        assert 1 == connection.scalar(ONE)


def test_pool_of_threads_for_one_request_is_right(place: Scratch) -> None:
    """A dependency may open, be used and be closed in several threads of a pool.

    As frameworks run blocking code: the threads live on, with nothing to do.
    """

    @contextmanager
    def dependency() -> Iterator[Session]:
        with factory() as session:
            yield session

    with engine_scope(place.urls["sync"]) as engine:
        factory = sessionmaker(engine)
        pools = [ThreadPoolExecutor(1), ThreadPoolExecutor(1), ThreadPoolExecutor(1)]

        def do(pool: int, work: Any, *arguments: Any) -> Any:
            return pools[pool].submit(work, *arguments).result(LIMIT)

        for lent in (dependency, lambda: unit_of_work(factory)):
            block: Any = lent()
            session = do(0, block.__enter__)
            do(1, session.execute, ONE)
            do(2, session.execute, ONE)
            do(1, session.execute, ONE)
            do(2, block.__exit__, None, None, None)
            assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]
        for pool in pools:
            pool.shutdown()


def test_factory_begins_and_ends(place: Scratch) -> None:
    """`factory.begin()` commits and closes."""
    with engine_scope(place.urls["sync"]) as engine:
        with sessionmaker(engine).begin() as session:
            session.add(Account(id=3, owner="carl", balance=7))
    assert "account 3 carl 7" in (place.rows() or [])


def test_thread_that_has_ended_is_no_owner(engine: Engine) -> None:
    """A transaction is anybody's when the thread that began it is over."""
    with sessionmaker(engine)() as session:
        with OtherThread() as other:
            other.do(lambda: session.execute(ONE))
        session.commit()
        assert not session.in_transaction()

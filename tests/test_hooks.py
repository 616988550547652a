"""What runs after a commit, in blocking code."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.exc import (
    ArgumentError,
    InvalidRequestError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session

from async_layers import (
    Outcome,
    create_engine,
    engine_scope,
    on_commit,
    run_transaction,
    sessionmaker,
    transaction,
    unit_of_work,
)
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from async_layers._proof.scratch import Scratch

CARL = insert(Account).values(id=3, owner="carl", balance=10)
COUNT = select(func.count(Account.id))
NOTE = "The transaction was committed."


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


def fail(what: object) -> None:
    raise LookupError(what)


def test_hooks_run_after_the_commit_in_their_order(
    engine: Engine, said: list[object]
) -> None:
    """Hooks find the rows committed, and the connection back in its pool."""

    def count(*, after: object) -> None:
        with transaction(engine) as connection:
            said.append((after, connection.scalar(COUNT)))

    with transaction(engine) as connection:
        on_commit(connection, said.append, 1)
        on_commit(connection, count, after=1)
        connection.execute(CARL)
        on_commit(connection, said.append, 2)
        assert [] == said
    assert [1, (1, 3), 2] == said


def test_hooks_of_a_unit_of_work_run_after_its_commit(
    engine: Engine, said: list[object]
) -> None:
    """The session of a unit of work takes hooks as a connection does."""

    def count() -> None:
        with unit_of_work(sessionmaker(engine)) as session:
            said.append(session.scalar(COUNT))

    with unit_of_work(sessionmaker(engine)) as session:
        session.add(Account(id=3, owner="carl", balance=10))
        on_commit(session, count)
    assert [3] == said


def test_hooks_do_not_run_after_a_rollback(engine: Engine, said: list[object]) -> None:
    """An exception that leaves the scope leaves its hooks behind."""
    for scope in (transaction(engine), unit_of_work(sessionmaker(engine))):
        with pytest.raises(LookupError), scope as lent:
            on_commit(lent, said.append, 1)
            lent.execute(CARL)
            raise LookupError
    assert [] == said


def test_hooks_do_not_run_where_commit_rolls_back(
    asyncpg_place: Scratch, said: list[object]
) -> None:
    """PostgreSQL answers the COMMIT of a failed transaction with a rollback."""
    asyncpg_place.fresh()
    with engine_scope(asyncpg_place.urls["sync"]) as engine:
        scope = transaction(engine)
        with scope as connection:
            on_commit(connection, said.append, 1)
            with pytest.raises(SQLAlchemyError):
                connection.execute(text("SELECT 1 / 0"))
    assert (Outcome.ROLLED_BACK, []) == (scope.outcome, said)


def test_hooks_do_not_run_where_the_outcome_is_unknown(
    asyncpg_place: Scratch, said: list[object]
) -> None:
    """A connection that is lost in COMMIT leaves nothing to rely on."""
    end = text("SELECT pg_terminate_backend(:pid)")
    with engine_scope(asyncpg_place.urls["sync"]) as engine:
        scope = transaction(engine)
        with pytest.raises(SQLAlchemyError), scope as connection:
            on_commit(connection, said.append, 1)
            pid = connection.scalar(text("SELECT pg_backend_pid()"))

            @event.listens_for(engine, "commit", once=True)
            def _(_: Connection) -> None:
                with engine.connect() as other:
                    other.execute(end, {"pid": pid})

    assert (Outcome.UNKNOWN, []) == (scope.outcome, said)


# What fails


def test_hooks_that_fail_reach_the_caller_together(
    engine: Engine, said: list[object]
) -> None:
    """The commit stands, the other hooks run, and the errors are one group."""
    scope = transaction(engine)
    with pytest.RaisesGroup(LookupError, LookupError) as caught, scope as connection:
        connection.execute(CARL)
        on_commit(connection, fail, 1)
        on_commit(connection, said.append, 2)
        on_commit(connection, fail, 3)
    assert ("(1,)", "(3,)") == tuple(str(e.args) for e in caught.value.exceptions)
    message = "2 of 3 on_commit hooks failed; the transaction was committed"
    assert (message, [NOTE]) == (caught.value.message, caught.value.__notes__)
    assert ([2], Outcome.COMMITTED) == (said, scope.outcome)
    with transaction(engine) as connection:
        assert 3 == connection.scalar(COUNT)


def test_interrupt_in_a_hook_ends_them_at_once(
    engine: Engine, said: list[object]
) -> None:
    """Whoever ends the program is told what has not run."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        with transaction(engine) as connection:
            on_commit(connection, interrupt)
            on_commit(connection, said.append, 1)
            on_commit(connection, fail, 2)
    left = "Its on_commit hooks not run: list.append, fail."
    assert [NOTE, left] == caught.value.__notes__
    assert [] == said


def test_exception_after_the_commit_is_not_replaced(
    engine: Engine, said: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    """It travels alone; what the hooks raised is noted on it, and logged."""
    with pytest.raises(ZeroDivisionError) as caught:
        with transaction(engine) as connection:
            on_commit(connection, fail, 1)
            on_commit(connection, said.append, 2)
            connection.commit()
            raise ZeroDivisionError
    failed = "Its on_commit hook fail failed: LookupError(1)."
    assert [NOTE, failed] == caught.value.__notes__
    assert [2] == said
    (record,) = caplog.records
    assert ("async_layers.hooks", "ERROR") == (record.name, record.levelname)
    assert record.exc_info is not None
    assert LookupError is record.exc_info[0]


class Awaitable:
    """What is awaited, and no coroutine."""

    def __await__(self) -> Iterator[None]:
        """Be awaited by nobody."""
        yield


async def later() -> None:
    """Be no function for blocking code."""


def begin() -> object:
    """Begin what somebody else has to await."""
    return later()


@pytest.mark.parametrize(
    ("make", "seen"),
    [(begin, "coroutine"), (Awaitable, "Awaitable")],
)
def test_hook_that_has_to_be_awaited_fails_aloud(
    engine: Engine, make: Callable[[], object], seen: str
) -> None:
    """A plain function that returns what nobody awaits is found out when it does."""
    message = (
        f"is refused: seen {seen}, which has to be awaited; write a plain function"
    )
    with pytest.RaisesGroup(pytest.RaisesExc(InvalidRequestError, match=message)):
        with transaction(engine) as connection:
            on_commit(connection, make)


# What is refused


class Later:
    """An object whose call has to be awaited."""

    async def __call__(self) -> None:
        """Be no function for blocking code."""


@pytest.mark.parametrize("function", [later, partial(later), Later()])
def test_function_that_has_to_be_awaited_is_refused(
    engine: Engine, function: Callable[[], object]
) -> None:
    """Blocking code awaits nothing."""
    with transaction(engine) as connection:
        with pytest.raises(ArgumentError, match="which has to be awaited; write a pl"):
            on_commit(connection, function)


def test_what_cannot_be_called_is_refused(engine: Engine) -> None:
    """A function that was called too early is told from one."""
    with transaction(engine) as connection:
        with pytest.raises(ArgumentError, match="seen None, which cannot be called; "):
            on_commit(connection, None)  # type: ignore[call-overload,arg-type] # planted


def test_target_of_no_layer_is_refused(engine: Engine) -> None:
    """An engine has no transaction to wait for."""
    with pytest.raises(ArgumentError, match="seen LayersEngine as its target; write"):
        on_commit(engine, fail, 1)  # type: ignore[arg-type] # planted


def refused(kind: str) -> pytest.RaisesExc[InvalidRequestError]:
    """Expect a hook to be refused for want of a scope."""
    return pytest.RaisesExc(
        InvalidRequestError, match=f"seen a {kind} without a scope whose transaction is"
    )


def test_target_without_a_scope_is_refused(engine: Engine) -> None:
    """Nobody would run the hooks of a connection or session that no scope lends."""
    with pytest.raises(InvalidRequestError, match=refused("connection").match):
        with engine.begin() as connection:
            on_commit(connection, fail, 1)
    with pytest.raises(InvalidRequestError, match=refused("session").match):
        with sessionmaker(engine).begin() as session:
            on_commit(session, fail, 1)
    plain = create_engine("sqlite://")
    with Session(plain) as session, pytest.raises(InvalidRequestError):
        on_commit(session, fail, 1)
    plain.dispose()


def test_hook_after_the_end_is_refused(engine: Engine, said: list[object]) -> None:
    """A transaction that has ended runs no more hooks, and a hook adds none."""

    def again(connection: Connection) -> None:
        with pytest.raises(InvalidRequestError, match=refused("connection").match):
            on_commit(connection, fail, 1)
        said.append("refused")

    with transaction(engine) as connection:
        on_commit(connection, again, connection)
        connection.commit()
        again(connection)
    again(connection)
    assert ["refused"] * 3 == said


# What is left behind


def test_transaction_whose_hook_failed_is_not_run_again(
    engine: Engine, said: list[object]
) -> None:
    """What is committed is not repeated, whatever a hook raises."""

    def locked() -> None:
        raise OperationalError("", {}, sqlite3.OperationalError("database is locked"))

    def work(connection: Connection) -> None:
        said.append("work")
        on_commit(connection, locked)

    with pytest.RaisesGroup(OperationalError):
        run_transaction(engine, work)
    assert ["work"] == said


def test_session_that_serves_two_scopes_keeps_no_hook(
    engine: Engine, said: list[object]
) -> None:
    """Hooks, and what watches over them, end with their scope."""
    one = sessionmaker(engine)()

    def factory() -> Session:
        return one

    for number, failing in enumerate((False, True, False)):
        try:
            with unit_of_work(factory) as session:  # type: ignore[arg-type] # a factory of one
                on_commit(session, said.append, number)
                if failing:
                    fail(number)
        except LookupError:
            said.append("failed")
        assert ({}, False) == (one.info, bool(one.dispatch.after_commit))
    assert [0, "failed", 2] == said


def test_scope_without_hooks_watches_nothing(engine: Engine) -> None:
    """A session is not listened to before it has a hook."""
    with unit_of_work(sessionmaker(engine)) as session:
        assert not session.dispatch.after_commit
        on_commit(session, fail, 1)
        assert session.dispatch.after_commit
        session.rollback()

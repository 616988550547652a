"""Transactions that PostgreSQL refuses are run again as a whole, on every driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from async_layers import Attempt, Retry, attempt_number
from tests.postgresql import _faults, _retrying
from tests.postgresql._dialects import OURS, OURS_ASYNC, PSYCOPG, on
from tests.postgresql._retrying import noted, on_all, other

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from tests._calls import Caller
    from tests.postgresql._retrying import Account

frozen, quiet = _faults.frozen, _faults.quiet
caller, account = _retrying.caller, _retrying.account

OFTEN = 8  # executions: psycopg prepares a statement at the sixth


def hearing(told: list[Attempt], **policy: Any) -> Retry:
    """Return a policy without pauses that notes each attempt that failed."""
    return Retry(wait_initial=0, before_sleep=told.append, **policy)


def reasons(told: list[Attempt]) -> list[str]:
    """Return why there were more attempts."""
    return [attempt.reason for attempt in told]


@on_all
def test_a_serialization_failure_is_run_again(caller: Caller, account: Account) -> None:
    """40001 of a statement: what another has written meanwhile is read anew."""
    told = list[Attempt]()

    def function(connection: Connection) -> None:
        connection.execute(text(account.sql("SELECT * FROM {schema}.account")))
        if attempt_number() == 1:
            account.elsewhere(account.add(10, 1))
        connection.execute(text(account.add(1, 2)))
        connection.execute(text(account.add(1, 1)))

    caller.run(function, hearing(told), isolation_level="REPEATABLE READ")
    assert ["serialization failure, 40001"] == reasons(told)
    assert [11, 1] == account.held()


@on_all
def test_a_unit_of_work_is_run_again(caller: Caller, account: Account) -> None:
    """40001 of a session: the next attempt has another one."""
    told, sessions = list[Attempt](), list[object]()

    def function(session: Session) -> None:
        sessions.append(session)
        session.execute(text(account.sql("SELECT * FROM {schema}.account")))
        if attempt_number() == 1:
            account.elsewhere(account.add(10, 1))
        session.execute(text(account.add(1, 1)))

    caller.run_unit(function, hearing(told), isolation_level="REPEATABLE READ")
    assert ["serialization failure, 40001"] == reasons(told)
    assert sessions[0] is not sessions[1]
    assert [11, 0] == account.held()


@on_all
def test_a_failure_at_commit_is_run_again(
    caller: Caller, account: Account, postgresql_url: str
) -> None:
    """40001 of COMMIT: the function has returned, and nothing of it is there."""
    told, calls = list[Attempt](), list[str]()
    total = account.sql("SELECT sum(n) FROM {schema}.account")

    def function(connection: Connection) -> None:
        read = connection.scalar(text(total))
        connection.execute(text(account.add(int(read or 0) + 1, 1)))
        if attempt_number() == 1:
            him.does(total)
            him.does(account.add(10, 2))
            him.connection.commit()

    with other(postgresql_url) as him:
        him.connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        caller.run(
            noted(calls, function), hearing(told), isolation_level="SERIALIZABLE"
        )
    assert ["serialization failure, 40001"] == reasons(told)
    assert ["called", "returned"] * 2 == calls
    assert [11, 10] == account.held()


@on_all
def test_a_deadlock_is_run_again(
    caller: Caller, account: Account, postgresql_url: str
) -> None:
    """40P01: the one who is its victim writes after the other.

    His own backend has to wake up for the row that he waited for, and would find it
    taken once more, by the next attempt: so that one begins after him.
    """
    told = list[Attempt]()

    def function(connection: Connection) -> None:
        if attempt_number() > 1:
            him.join()
        connection.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
        connection.execute(text(account.add(1, 1)))
        if attempt_number() == 1:
            him.does("SET LOCAL deadlock_timeout = '10s'")
            him.does(account.add(10, 2))
            him.commits_after(account.add(10, 1))
            account.wait_until_waiting(him.connection.info.backend_pid)
        connection.execute(text(account.add(1, 2)))

    with other(postgresql_url) as him:
        caller.run(function, hearing(told))
    assert ["deadlock, 40P01"] == reasons(told)
    assert [11, 11] == account.held()


@on_all
@pytest.mark.parametrize("asked", [True, False])
def test_a_lock_timeout_is_run_again_where_asked(
    caller: Caller, account: Account, postgresql_url: str, *, asked: bool
) -> None:
    """55P03 has waited already: it is run again with `lock_timeouts`, and else not."""
    told = list[Attempt]()

    def function(connection: Connection) -> None:
        connection.execute(text("SET LOCAL lock_timeout = '1ms'"))
        if attempt_number() == 1:
            him.does(account.add(10, 1))
        try:
            connection.execute(text(account.add(1, 1)))
        finally:
            him.connection.commit()

    with other(postgresql_url) as him:
        if asked:
            caller.run(function, hearing(told, lock_timeouts=True))
        else:
            with pytest.raises(DBAPIError):
                caller.run(function, hearing(told))
    assert (["lock timeout, 55P03"] if asked else []) == reasons(told)
    assert [11 if asked else 10, 0] == account.held()


@on_all
def test_a_stale_plan_is_run_again(caller: Caller, account: Account) -> None:
    """A table that others have changed is read in its new shape."""
    told, read = (
        list[Attempt](),
        text(account.sql("SELECT * FROM {schema}.account WHERE id = 1")),
    )

    def function(connection: Connection) -> tuple[object, ...]:
        return tuple(connection.execute(read).one())

    for _ in range(OFTEN):
        caller.run(function)
    account.elsewhere("ALTER TABLE {schema}.account ADD COLUMN name text DEFAULT 'x'")
    assert (1, 0, "x") == caller.run(function, hearing(told))
    assert 1 == len(told)
    assert told[0].reason.startswith("cached plan is stale")


def test_what_the_function_did_wrong_is_run_once(
    caller: Caller, account: Account
) -> None:
    """A constraint is not met a second time either, also not at COMMIT."""
    told, calls = list[Attempt](), list[str]()
    account.elsewhere(
        "ALTER TABLE {schema}.account ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED"
    )
    twice = text(account.sql("INSERT INTO {schema}.account VALUES (1, 1)"))
    with pytest.raises(DBAPIError, match="unique") as caught:
        caller.run(noted(calls, lambda c: c.execute(twice)), hearing(told))
    assert ([], ["called", "returned"]) == (told, calls)
    assert ["The transaction was rolled back."] == caught.value.__notes__


@on(PSYCOPG, OURS, OURS_ASYNC, "psycopg_async")
def test_a_function_that_swallows_an_error_does_not_seem_to_succeed(
    caller: Caller, account: Account
) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK, without an error: the call has one."""

    def function(connection: Connection) -> str:
        connection.execute(text(account.add(1, 1)))
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1 / 0"))
        return "done"

    with pytest.raises(InvalidRequestError, match="rolled back"):
        caller.run(function)
    assert [0, 0] == account.held()


@on_all
def test_a_type_that_was_made_again_is_read_again(
    caller: Caller, account: Account
) -> None:
    """XX000 of asyncpg: it forgets the type, and the next attempt finds the new one."""
    told = list[Attempt]()
    make = "CREATE TYPE {schema}.mood AS ENUM ('glad', 'sad')"
    read = text(account.sql("SELECT CAST('glad' AS {schema}.mood)"))

    def function(connection: Connection) -> object:
        return connection.scalar(read)

    account.elsewhere(make)
    for _ in range(OFTEN):
        caller.run(function)
    account.elsewhere("DROP TYPE {schema}.mood")
    account.elsewhere(make)
    assert "glad" == caller.run(function, hearing(told))
    assert set(reasons(told)) <= {"cached plan is stale, XX000"}

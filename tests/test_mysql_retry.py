"""Transactions that MariaDB refuses are run again, with its three drivers.

`ASYNC_LAYERS_TEST_MYSQL_URL`, such as `mariadb://root@127.0.0.1/test`.
"""

from __future__ import annotations

import os
import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import Column, Integer, MetaData, Table, select, text, update
from sqlalchemy.exc import DBAPIError

from async_layers import Attempt, Retry, attempt_number
from tests._calls import calling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, Update

    from tests._calls import Caller

URL = os.environ.get("ASYNC_LAYERS_TEST_MYSQL_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="ASYNC_LAYERS_TEST_MYSQL_URL is unset")

DRIVERS = {"pymysql": "blocking", "asyncmy": "asyncio", "aiomysql": "asyncio"}
BOUND = 10.0  # seconds


@pytest.fixture(scope="module")
def other() -> Iterator[Engine]:
    """Return an engine of the others."""
    url = sqlalchemy.make_url(URL).set(drivername="mysql+pymysql")
    engine = sqlalchemy.create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def account(other: Engine) -> Iterator[Table]:
    """Return a table of two accounts, with nothing on them."""
    name = f"async_layers_{secrets.token_hex(4)}"
    columns = Column("id", Integer, primary_key=True), Column("n", Integer)
    table = Table(name, MetaData(), *columns)
    table.create(other)
    with other.begin() as connection:
        connection.execute(table.insert(), [{"id": 1, "n": 0}, {"id": 2, "n": 0}])
    yield table
    table.drop(other)


@pytest.fixture(params=DRIVERS)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Return what runs functions on each driver, on one connection."""
    url = sqlalchemy.make_url(URL).set(drivername=f"mysql+{request.param}")
    named = url.render_as_string(hide_password=False)
    with calling(named, DRIVERS[request.param], pool_size=1) as found:
        yield found


def add(account: Table, number: int, which: int) -> Update:
    """Return the statement that adds a number to an account."""
    chosen = update(account).where(account.c.id == which)
    return chosen.values(n=account.c.n + number)


def held(other: Engine, account: Table) -> list[int]:
    """Return what the accounts hold."""
    with other.connect() as connection:
        return list(connection.scalars(select(account.c.n).order_by(account.c.id)))


def hearing(told: list[Attempt], **policy: Any) -> Retry:
    """Return a policy without pauses that notes each attempt that failed."""
    return Retry(wait_initial=0, before_sleep=told.append, **policy)


def test_a_deadlock_is_run_again(caller: Caller, other: Engine, account: Table) -> None:
    """1213: the smaller transaction is the victim, whoever comes to wait first."""
    told, threads = list[Attempt](), list[threading.Thread]()

    def function(connection: Connection) -> None:
        connection.execute(add(account, 1, 1))
        if attempt_number() == 1:
            # What it has written makes it the heavier one.
            him.execute(account.insert(), [{"id": n, "n": 0} for n in range(3, 60)])
            him.execute(add(account, 10, 2))
            threads.append(threading.Thread(target=finish))
            threads[0].start()
        connection.execute(add(account, 1, 2))

    def finish() -> None:
        him.execute(add(account, 10, 1))
        him.commit()

    with other.connect() as him:
        try:
            caller.run(function, hearing(told))
        finally:
            threads[0].join(BOUND)
    assert ["deadlock, 1213"] == [attempt.reason for attempt in told]
    assert [11, 11] == held(other, account)[:2]


@pytest.mark.parametrize("asked", [True, False])
def test_a_lock_timeout_is_run_again_where_asked(
    caller: Caller, other: Engine, account: Table, *, asked: bool
) -> None:
    """1205 rolls back its statement alone; run again is the whole."""
    told = list[Attempt]()
    locked = text(f"SELECT n FROM {account.name} WHERE id = 1 FOR UPDATE NOWAIT")  # noqa: S608

    def function(connection: Connection) -> None:
        connection.execute(add(account, 1, 2))
        if attempt_number() == 1:
            him.execute(add(account, 10, 1))
        try:
            connection.execute(locked)
        finally:
            him.commit()
        connection.execute(add(account, 1, 1))

    with other.connect() as him:
        if asked:
            caller.run(function, hearing(told, lock_timeouts=True))
        else:
            with pytest.raises(DBAPIError):
                caller.run(function, hearing(told))
    assert (["lock timeout, 1205"] if asked else []) == [one.reason for one in told]
    assert ([11, 1] if asked else [10, 0]) == held(other, account)


def test_a_connection_that_is_killed_is_run_again(
    caller: Caller, other: Engine, account: Table
) -> None:
    """The half that was done is rolled back, and the whole is done once."""
    told = list[Attempt]()

    def function(connection: Connection) -> None:
        number = connection.scalar(text("SELECT connection_id()"))
        connection.execute(add(account, 1, 1))
        if attempt_number() == 1:
            with other.connect() as him:
                him.execute(text(f"KILL {number}"))
        connection.execute(add(account, 1, 2))

    caller.run(function, hearing(told))
    (attempt,) = told
    assert attempt.reason.startswith("connection lost")
    assert [1, 1] == held(other, account)


def test_a_record_that_changed_is_run_again(
    caller: Caller, other: Engine, account: Table
) -> None:
    """1020: what another has written since the snapshot is read anew."""
    with other.connect() as connection:
        known = text("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'")
        if not connection.execute(known).all():
            pytest.skip("this server has no innodb_snapshot_isolation")
    told = list[Attempt]()

    def function(connection: Connection) -> None:
        connection.execute(text("SET SESSION innodb_snapshot_isolation = ON"))
        connection.execute(select(account))
        if attempt_number() == 1:
            with other.begin() as him:
                him.execute(add(account, 10, 1))
        connection.execute(add(account, 1, 1))

    caller.run(function, hearing(told))
    assert ["record changed, 1020"] == [attempt.reason for attempt in told]
    assert [11, 0] == held(other, account)


def test_a_constraint_is_not_met_a_second_time(
    caller: Caller, other: Engine, account: Table
) -> None:
    """1062 is final."""
    told = list[Attempt]()

    def function(connection: Connection) -> None:
        connection.execute(add(account, 1, 1))
        connection.execute(account.insert(), {"id": 1, "n": 0})

    with pytest.raises(DBAPIError):
        caller.run(function, hearing(told))
    assert ([], [0, 0]) == (told, held(other, account))

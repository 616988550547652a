"""Connections that are lost: run again before COMMIT, and never during it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from async_layers import Attempt, Retry, attempt_number, transaction
from tests._calls import Caller
from tests.postgresql import _faults, _retrying
from tests.postgresql._dialects import OURS, OURS_ASYNC, on, open_side
from tests.postgresql._faults import BOUND, driver_of, end_backend, last_words
from tests.postgresql._retrying import on_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import psycopg
    from sqlalchemy import Connection

    from tests.postgresql._proxy import Proxy
    from tests.postgresql._retrying import Account

frozen, quiet = _faults.frozen, _faults.quiet
caller, account = _retrying.caller, _retrying.account

UNSAID = "run_transaction() did not run it again: it may have been committed"


@pytest.fixture
def far(driver: str, proxy: Proxy) -> Iterator[Caller]:
    """Return what runs functions on an engine behind the proxy, of one connection."""
    with open_side(driver, proxy.url, pool_size=1) as side:
        yield Caller(side.opened, side.runner)


def adding(account: Account) -> Callable[[Connection], None]:
    """Return a function that adds 1 to the first account."""

    def function(connection: Connection) -> None:
        connection.execute(text(account.add(1, 1)))

    return function


# --- before COMMIT


@on_all
def test_a_backend_that_ends_in_a_transaction_is_run_again(
    caller: Caller, account: Account, observer: psycopg.Connection[Any]
) -> None:
    """The half that was done is rolled back, and the whole is done once."""
    told = list[Attempt]()

    def function(connection: Connection) -> None:
        connection.execute(text(account.add(1, 1)))
        if attempt_number() == 1:
            end_backend(observer, connection)
        connection.execute(text(account.add(1, 2)))

    caller.run(function, Retry(wait_initial=0, before_sleep=told.append))
    (attempt,) = told
    assert attempt.reason.startswith("connection lost")
    assert [1, 1] == account.held()


@on_all
@pytest.mark.parametrize("options", [{}, {"isolation_level": "SERIALIZABLE"}])
def test_a_pool_that_lends_a_dead_connection_is_asked_again(
    caller: Caller,
    account: Account,
    observer: psycopg.Connection[Any],
    options: dict[str, Any],
) -> None:
    """The backend has ended while its connection was waiting in the pool."""
    end_backend(observer, caller.run(driver_of))
    caller.run(adding(account), **options)
    assert [1, 0] == account.held()


@on_all
def test_a_server_that_refuses_is_asked_again(
    far: Caller, account: Account, proxy: Proxy
) -> None:
    """Nothing was begun: the function is called when there is a connection."""
    proxy.refuse()
    told = list[Attempt]()

    def heal(attempt: Attempt) -> None:
        told.append(attempt)
        proxy.heal()

    far.run(adding(account), Retry(wait_initial=0, before_sleep=heal))
    assert ["cannot connect"] == [attempt.reason for attempt in told]
    assert [1, 0] == account.held()


@contextmanager
def refusing(sqlstate: str, message: str) -> Iterator[str]:
    """Listen as a server that refuses whoever connects, in these words."""
    words = last_words(sqlstate, message)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                with link:
                    link.settimeout(BOUND)
                    if link.recv(8)[4:] in _ENCRYPTION:
                        link.sendall(b"N")
                        link.recv(8)
                    link.recv(4096)
                    link.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}/test"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(BOUND)


_ENCRYPTION = (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30")  # SSL, GSS

REFUSALS = {
    "57P03": "the database system is starting up",
    "53300": "sorry, too many clients already",
    "28P01": 'password authentication failed for user "postgres"',
    "3D000": 'database "test" does not exist',
}


@on_all
@pytest.mark.parametrize("sqlstate", REFUSALS)
def test_a_server_that_is_busy_with_itself_is_asked_again(
    driver: str, sqlstate: str
) -> None:
    """It starts, or has no room; one that refuses the user will always do so."""
    told = list[Attempt]()
    retry = Retry(attempts=2, wait_initial=0, before_sleep=told.append)
    with refusing(sqlstate, REFUSALS[sqlstate]) as url:
        with open_side(driver, url) as side, pytest.raises(DBAPIError):
            Caller(side.opened, side.runner).run(lambda _: None, retry)
    assert (1 if sqlstate in {"57P03", "53300"} else 0) == len(told)


# --- during COMMIT


@on_all
@pytest.mark.parametrize(("of", "kept"), [("server", 1), ("client", 0)])
def test_a_connection_that_is_lost_during_commit_is_not_run_again(
    far: Caller, account: Account, proxy: Proxy, of: Any, kept: int
) -> None:
    """Whether it was done only the database knows: the error says so."""
    told = list[Attempt]()
    proxy.cut_messages(0, of=of, since_commit=True)
    with pytest.raises(DBAPIError) as caught:
        far.run(adding(account), Retry(wait_initial=0, before_sleep=told.append))
    assert [] == told
    assert [kept, 0] == account.held()
    unknown, unsaid = caught.value.__notes__
    assert (
        "The outcome of the transaction is unknown: "
        "the connection was lost while COMMIT was under way."
    ) == unknown
    assert UNSAID in unsaid


@on(OURS, OURS_ASYNC)
def test_a_transaction_in_the_function_that_is_lost_is_not_run_again(
    caller: Caller, account: Account, proxy: Proxy
) -> None:
    """The function has committed elsewhere, perhaps: again would be twice."""

    def function(connection: Connection) -> None:
        connection.execute(text(account.add(1, 2)))
        with transaction(elsewhere) as other:
            other.execute(text(account.add(1, 1)))
            if attempt_number() == 1:
                proxy.cut_messages(0, of="server", since_commit=True)

    with open_side(OURS, proxy.url) as side:
        elsewhere = side.engine
        with pytest.raises(DBAPIError) as caught:
            caller.run(function)
    assert "did not run it again" in caught.value.__notes__[-1]
    assert [1, 0] == account.held()


def test_who_runs_again_blindly_does_it_twice(
    far: Caller, account: Account, proxy: Proxy
) -> None:
    """Planted: what the call does not do."""
    proxy.cut_messages(0, of="server", since_commit=True)
    for _ in range(2):
        try:
            far.run(adding(account))
        except DBAPIError:
            continue
        break
    assert [2, 0] == account.held()

"""A transaction that is run again as a whole, on files of SQLite."""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import InvalidRequestError

from async_layers import (
    Attempt,
    Outcome,
    Retry,
    attempt_number,
    on_commit,
    run_transaction,
)
from async_layers._layers.ended import Ended
from async_layers._layers.notes import tell
from async_layers._retry.run import Run
from async_layers.deadline import DeadlineExceeded
from tests._calls import calling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from tests._calls import Caller


class CollisionError(Exception):
    """What a test runs again for."""


def collided(error: Exception) -> bool:
    """Say that a collision is worth another attempt."""
    return isinstance(error, CollisionError)


AGAIN = Retry(wait_initial=0, wait_max=0, retryable=collided)


@pytest.fixture(params=["blocking", "asyncio"])
def caller(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Caller]:
    """Return what runs functions in each world, with an empty table of numbers."""
    file = make_url(sqlite_url).database
    assert file is not None
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL;"
            "CREATE TABLE number (n INTEGER)"
        )
    with calling(sqlite_url, request.param) as found:
        yield found


def add(connection: Connection | Session, number: int) -> None:
    """Insert a number."""
    connection.execute(text("INSERT INTO number VALUES (:n)"), {"n": number})


def numbers(caller: Caller) -> list[int]:
    """Return the numbers that are there."""
    return caller.run(lambda c: list(c.scalars(text("SELECT n FROM number"))))


def failing(times: int) -> Callable[[Connection], int]:
    """Return a function that writes its attempt's number, and collides so often."""

    def function(connection: Connection) -> int:
        add(connection, attempt_number())
        if attempt_number() <= times:
            raise CollisionError
        return attempt_number()

    return function


# --- what is run again


def test_a_function_is_run_again_as_a_whole(caller: Caller) -> None:
    """What the attempts before have written is not there."""
    assert (3, [3]) == (caller.run(failing(2), AGAIN), numbers(caller))


def test_each_attempt_has_a_fresh_session(caller: Caller) -> None:
    """What an earlier session has loaded is not in the next one."""
    sessions = list[object]()

    def function(session: Session) -> None:
        add(session, attempt_number())
        sessions.append(session)
        if len(sessions) < 2:
            raise CollisionError

    caller.run_unit(function, AGAIN)
    assert (2, [2]) == (len(set(map(id, sessions))), numbers(caller))


def test_an_error_that_is_not_retryable_is_run_once(caller: Caller) -> None:
    """It travels on as it is, and says nothing of attempts."""
    with pytest.raises(CollisionError) as caught:
        caller.run(failing(1))
    assert ["The transaction was rolled back."] == caught.value.__notes__
    assert [] == numbers(caller)


def test_an_exit_is_never_run_again(caller: Caller) -> None:
    """What is no `Exception` ends the call, whatever `retryable` says."""

    def function(_: Connection) -> None:
        asked.append(attempt_number())
        raise KeyboardInterrupt

    asked = list[int]()
    with pytest.raises(KeyboardInterrupt):
        caller.run(function, Retry(retryable=lambda _: True))
    assert [1] == asked


# --- how often, and how long


def test_the_last_error_travels_on_when_the_attempts_are_over(caller: Caller) -> None:
    """It says how many there were, and nothing is left of them."""
    with pytest.raises(CollisionError) as caught:
        caller.run(failing(9), Retry(attempts=3, wait_initial=0, retryable=collided))
    state, taken = caught.value.__notes__
    assert "The transaction was rolled back." == state
    assert "run_transaction() ended after 3 attempts in " in taken
    assert [] == numbers(caller)


def test_one_attempt_is_never_run_again(caller: Caller) -> None:
    """`attempts=1` is a transaction like any other."""
    with pytest.raises(CollisionError):
        caller.run(failing(1), Retry(attempts=1, retryable=collided))


def test_no_attempt_begins_when_the_time_is_over(caller: Caller) -> None:
    """The pause that would end too late is not begun."""
    told = list[Attempt]()
    retry = Retry(timeout=1e-9, retryable=collided, before_sleep=told.append)
    with pytest.raises(CollisionError):
        caller.run(failing(1), retry)
    assert [] == told


def test_no_attempt_begins_after_the_deadline(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds for all attempts, and for the pauses between them."""
    monkeypatch.setattr(random, "uniform", lambda _, high: high)
    told = list[Attempt]()
    retry = Retry(
        timeout=None,
        wait_initial=3600,
        wait_max=3600,
        retryable=collided,
        before_sleep=told.append,
    )
    with pytest.raises(CollisionError):
        caller.run(failing(1), retry, deadline=5)
    with pytest.raises(CollisionError):
        caller.run_unit(failing(1), retry, deadline=5)
    assert [] == told


def test_a_deadline_that_is_over_is_not_run_again(caller: Caller) -> None:
    """There is no time for another attempt."""
    told = list[Attempt]()

    def function(connection: Connection) -> None:
        end = time.monotonic() + 0.001
        while time.monotonic() < end:
            continue
        add(connection, attempt_number())

    with pytest.raises(DeadlineExceeded):
        caller.run(function, Retry(before_sleep=told.append), deadline=0.001)
    assert ([], []) == (told, numbers(caller))


def test_an_attempt_has_what_the_ones_before_have_left() -> None:
    """The seconds of the deadline that are over are over."""
    left = list[float | None]()
    with Run(run_transaction, None, 60) as run:
        for _ in range(2):
            left.append(run.left)
            run.starts(Ended())
    assert 60 == left[0]
    assert 0 < (left[1] or 0) < 60


def test_without_a_bound_only_the_attempts_count(caller: Caller) -> None:
    """`timeout=None` bounds nothing."""
    retry = Retry(timeout=None, wait_initial=0, retryable=collided)
    assert 5 == caller.run(failing(4), retry)


def test_the_longest_pause_doubles_up_to_a_bound(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pause is drawn between nothing and its longest: full jitter."""
    drawn = list[tuple[float, float]]()

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    monkeypatch.setattr(random, "uniform", uniform)
    retry = Retry(wait_initial=0.25, wait_max=0.75, retryable=collided)
    assert 5 == caller.run(failing(4), retry)
    assert [(0, 0.25), (0, 0.5), (0, 0.75), (0, 0.75)] == drawn


# --- what is told


def test_a_hook_is_told_of_each_attempt_that_failed(caller: Caller) -> None:
    """Its number, its error, why it is run again, and how long is waited."""
    told = list[Attempt]()
    retry = Retry(wait_initial=0, retryable=collided, before_sleep=told.append)
    caller.run(failing(2), retry)
    assert [
        (1, CollisionError, "as retryable says", 0.0),
        (2, CollisionError, "as retryable says", 0.0),
    ] == [(one.number, type(one.error), one.reason, one.pause) for one in told]
    assert 0 < told[0].seconds < told[1].seconds


def test_what_a_hook_raises_ends_the_call(caller: Caller) -> None:
    """The error of the attempt is its context."""

    def stop(_: Attempt) -> None:
        raise LookupError

    with pytest.raises(LookupError) as caught:
        caller.run(failing(2), Retry(retryable=collided, before_sleep=stop))
    assert isinstance(caught.value.__context__, CollisionError)


def test_attempts_are_logged(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Each that is run again, and the one that was committed."""
    caplog.set_level(logging.INFO, "async_layers.retry")
    caller.run(failing(1), AGAIN)
    again, committed = caplog.records
    name = "run_transaction" if caller.runner is None else "async_run_transaction"
    assert (
        f"{name}(): CollisionError (as retryable says) at attempt 1, "
        "running again in 0.000 s"
    ) == again.getMessage()
    assert committed.getMessage().startswith(f"{name}() committed after 2 attempts in ")
    assert ["INFO", "INFO"] == [again.levelname, committed.levelname]


def test_giving_up_is_a_warning(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """Who listens for warnings hears of it, and of nothing before."""
    with pytest.raises(CollisionError):
        caller.run(failing(2), Retry(attempts=1, retryable=collided))
    (record,) = caplog.records
    assert "WARNING" == record.levelname
    assert "(as retryable says), given up after 1 attempt in " in record.getMessage()


def test_a_call_that_succeeds_at_once_says_nothing(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is logged of it, at any level."""
    caplog.set_level(logging.DEBUG, "async_layers.retry")
    caller.run(failing(0))
    assert [] == caplog.records


def test_an_attempt_has_no_number_outside(caller: Caller) -> None:
    """After the call, and without one, it is the first."""
    assert (2, 1) == (caller.run(failing(1), AGAIN), attempt_number())


# --- what was not committed, and what nobody knows


def test_what_fails_after_the_commit_is_not_run_again(caller: Caller) -> None:
    """A hook that fails reaches the caller, and what was committed stays as it is."""

    def function(connection: Connection) -> None:
        add(connection, attempt_number())
        # The blocking one serves: run_sync() has carried the connection here.
        on_commit(connection, int, "no number")

    with pytest.raises(ExceptionGroup, match="the transaction was committed"):
        caller.run(function, Retry(wait_initial=0, retryable=lambda _: True))
    assert [1] == numbers(caller)


def test_hooks_of_an_attempt_that_failed_do_not_run(caller: Caller) -> None:
    """Only those of the attempt that was committed."""
    said = list[int]()

    def function(connection: Connection) -> None:
        on_commit(connection, said.append, attempt_number())
        failing(2)(connection)

    caller.run(function, AGAIN)
    assert [3] == said


@pytest.mark.parametrize("grouped", [False, True])
def test_what_may_have_been_committed_elsewhere_is_not_run_again(
    caller: Caller, *, grouped: bool
) -> None:
    """A transaction of another database in the function, whose outcome is unknown."""

    def function(connection: Connection) -> None:
        add(connection, attempt_number())
        error = CollisionError()
        tell(error, Outcome.UNKNOWN)
        raise ExceptionGroup("two", [error]) if grouped else error

    with pytest.raises((CollisionError, ExceptionGroup)) as caught:
        caller.run(function, Retry(wait_initial=0, retryable=lambda _: True))
    assert (
        "did not run it again: it may have been committed"
        in (caught.value.__notes__[-1])
    )
    assert [] == numbers(caller)


def test_a_result_is_returned_only_if_it_was_committed(caller: Caller) -> None:
    """A function that rolls back and returns is told that nothing is there."""

    def function(connection: Connection) -> str:
        add(connection, 1)
        connection.rollback()
        return "done"

    with pytest.raises(InvalidRequestError, match="rolled back"):
        caller.run(function)
    assert [] == numbers(caller)

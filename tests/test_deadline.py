"""The deadline itself, without a database."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
from typing import TYPE_CHECKING

import pytest
import sqlalchemy.exc
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError
from sqlalchemy.util.concurrency import await_

import async_layers
from async_layers import DeadlineExceeded
from async_layers._layers.deadline.budget import Budget, may_be_late, shortened
from async_layers._layers.deadline.clock import LoopClock, ThreadClock
from async_layers._layers.deadline.making import make_in_task, make_in_thread
from async_layers._layers.deadline.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BOUND = 10.0  # seconds, within which what must happen has happened


@pytest.mark.parametrize("seconds", [0, -1, True, "1", math.nan, math.inf])
def test_a_deadline_is_a_positive_number(seconds: Any) -> None:
    """Anything else is refused before a connection is asked for."""
    with async_layers.engine_scope("sqlite://") as engine:
        scope = async_layers.transaction(engine, deadline=seconds)
        with pytest.raises(ArgumentError, match="deadline is refused: seen"):
            scope.__enter__()


def test_an_error_says_what_is_refused_what_was_seen_and_what_to_write() -> None:
    """Three parts, one sentence; a long statement is shortened."""
    error = Budget(2.5).refused("a statement", "SELECT  1,\n2")
    assert (
        "A statement ('SELECT 1, 2') is refused: seen a deadline of 2.5 seconds, which "
        "is over; write a longer deadline, or do less in the scope."
    ) == str(error)
    assert 60 * "1" + "..." == shortened(61 * "1")


def test_an_error_is_caught_by_either_name() -> None:
    """As SQLAlchemy's TimeoutError, and as Python's."""
    error = Budget(1).stopped("COMMIT")
    assert isinstance(error, sqlalchemy.exc.TimeoutError)
    assert isinstance(error, TimeoutError)


def test_an_error_travels_between_processes() -> None:
    """With what it knows."""
    error = pickle.loads(pickle.dumps(Budget(1.5).stopped("COMMIT")))  # noqa: S301 - ours
    assert (DeadlineExceeded, "COMMIT", 1.5) == (type(error), error.part, error.seconds)
    assert str(Budget(1.5).stopped("COMMIT")) == str(error)


def test_only_some_errors_may_be_late() -> None:
    """One of a statement's own is not; a link that broke is."""
    late = OperationalError("SELECT 1", {}, Exception())
    own = IntegrityError("SELECT 1", {}, Exception())
    others = (ConnectionResetError(), LookupError(), Budget(1).stopped("COMMIT"))
    found = [may_be_late(error) for error in (late, own, *others)]
    assert [True, False, True, False, False] == found


def test_a_scope_whose_time_is_over_asks_for_nothing() -> None:
    """It does not even wait for the pool."""
    with async_layers.engine_scope("sqlite://") as engine:
        scope = async_layers.transaction(engine, deadline=1e-9)
        with pytest.raises(DeadlineExceeded) as caught:
            scope.__enter__()
        assert "waiting for the pool" == caught.value.part
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


def test_a_deadline_may_be_far_away() -> None:
    """Neither a thread nor a lock can be told to wait for centuries."""
    with (
        async_layers.engine_scope("sqlite://") as engine,
        async_layers.transaction(engine, deadline=1e300) as connection,
    ):
        assert 1 == connection.exec_driver_sql("SELECT 1").scalar()


def test_a_deadline_that_is_far_away_wakes_nobody() -> None:
    """A clock that is stopped leaves no thread behind."""
    before = threading.enumerate()
    clock = ThreadClock()
    clock.stop()
    clock = ThreadClock()
    clock.watch(None)
    clock.stop()
    assert before == threading.enumerate()


class Noted(Operation):
    """An operation whose end is noted."""

    def __init__(self, next_: float | None, acted: Callable[[], object]) -> None:
        self._next = next_
        self._acted = acted

    @property
    def next(self) -> float | None:
        """When it is to end."""
        return self._next

    def act(self) -> None:
        """Note it."""
        self._next = None
        self._acted()


def test_a_thread_watches_what_is_nearer_first() -> None:
    """One operation after another, the second with less time, the third with none."""
    clock, acted = ThreadClock(), threading.Event()
    try:
        clock.watch(Noted(1e9, acted.clear))
        clock.watch(Noted(0.0, acted.set))
        assert acted.wait(BOUND)
        acted.clear()
        clock.watch(Noted(None, acted.set))
        clock.watch(Noted(0.0, acted.set))
        assert acted.wait(BOUND)
    finally:
        clock.stop()


async def test_a_loop_watches_what_is_nearer_first() -> None:
    """One operation after another, the second with less time, the third with none."""
    clock, acted = LoopClock(), asyncio.Event()
    clock.watch(Noted(1e9, acted.clear))
    clock.watch(Noted(0.0, acted.set))
    async with asyncio.timeout(BOUND):
        await acted.wait()
    acted.clear()
    clock.watch(Noted(None, acted.set))
    clock.watch(Noted(0.0, acted.set))
    async with asyncio.timeout(BOUND):
        await acted.wait()
    clock.stop()


async def test_a_loop_that_has_nothing_to_watch_is_not_asked_again() -> None:
    """What ended before its time has come is left alone."""
    clock, acted = LoopClock(), list[int]()
    clock.watch(Noted(0.0, lambda: acted.append(1)))
    clock.watch(None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert [] == acted
    clock.stop()


def test_what_is_made_in_time_is_had() -> None:
    """A thread makes it, and ends."""
    assert 5 == make_in_thread(lambda: 5, BOUND, print)


def test_an_error_of_the_thread_is_raised() -> None:
    """Whoever waits has it."""

    def fail() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        make_in_thread(fail, BOUND, print)


def test_what_is_made_too_late_is_dropped() -> None:
    """Nobody waits for the thread; it drops what it makes by itself."""
    go_on, dropped = threading.Event(), threading.Event()
    seen = list[int]()

    def make() -> int:
        assert go_on.wait(BOUND)
        return 5

    def drop(made: int) -> None:
        seen.append(made)
        dropped.set()
        raise LookupError  # nobody is told

    assert make_in_thread(make, 0.001, drop) is None
    go_on.set()
    assert dropped.wait(BOUND)
    assert [5] == seen
    for thread in threading.enumerate():
        if thread.name == "async_layers connecting":
            thread.join(BOUND)


def test_what_fails_too_late_is_nobodys() -> None:
    """Its error is not told either."""
    go_on = threading.Event()
    threads = set(threading.enumerate())

    def fail() -> int:
        assert go_on.wait(BOUND)
        raise LookupError

    assert make_in_thread(fail, 0.001, print) is None
    (left,) = set(threading.enumerate()) - threads
    go_on.set()
    left.join(BOUND)
    assert not left.is_alive()


async def test_a_task_that_makes_in_time_is_had() -> None:
    """Nothing is dropped."""

    async def make() -> int:
        return 5

    assert 5 == await make_in_task(make(), BOUND, print)


async def test_a_task_that_is_late_is_cancelled() -> None:
    """What it makes nevertheless is dropped, by a driver that waits for that, too."""
    dropped, over = list[int](), asyncio.Event()

    def drop(made: int) -> None:
        await_(asyncio.sleep(0))
        dropped.append(made)
        over.set()
        raise LookupError  # nobody's

    async def make() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 5
        return 6

    assert await make_in_task(make(), 0.001, drop) is None
    await asyncio.wait_for(over.wait(), BOUND)
    assert [5] == dropped


async def test_a_cancellation_of_who_waits_cancels_the_task() -> None:
    """It travels on when the other has heard it."""
    heard = list[str]()

    async def make() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            heard.append("cancelled")
        return 5

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(make_in_task(make(), BOUND, print), 0.001)
    assert ["cancelled"] == heard

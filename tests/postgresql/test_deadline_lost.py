"""A deadline on a server that does not answer: its connection is cut and discarded."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.engine import make_url

from async_layers import DeadlineExceeded, Outcome, async_transaction
from tests.postgresql import _deadline, _faults
from tests.postgresql._deadline import (
    AMPLE,
    BOUND,
    BRIEF,
    ONE,
    SOON,
    Ended,
    both,
    each,
    is_held_too_long,
    run_out,
    within,
)
from tests.postgresql._dialects import on
from tests.postgresql._faults import backend, connect, counts, lost_cursors, stream
from tests.postgresql._servers import through

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side
    from tests.postgresql._proxy import Proxy

frozen, quiet, hasty = _faults.frozen, _faults.quiet, _deadline.hasty


@contextmanager
def connected(driver: str, url: str, **arguments: Any) -> Iterator[tuple[Proxy, Side]]:
    """Lend an engine behind a proxy, with a connection in its pool."""
    with through(driver, url, **arguments) as (proxy, side):
        side.on_engine(connect)
        yield proxy, side
        proxy.heal()
        side.on_engine(connect)


def assert_stopped(ended: Ended, part: str, outcome: Outcome | None) -> None:
    """Assert what ran out, and that nobody was held for too long."""
    assert (DeadlineExceeded, part, outcome) == (
        type(ended.error), ended.error.part, ended.outcome
    )  # fmt: skip
    assert not is_held_too_long(ended)


@each
def test_a_black_hole_in_a_statement(driver: str, postgresql_url: str) -> None:
    """Nothing answers, neither to the statement nor to who asks it to stop."""
    with connected(driver, postgresql_url) as (proxy, side):
        seen = list[int]()

        def body(connection: Connection) -> None:
            seen.append(backend(connection))
            proxy.black_hole()
            run_out(connection, SOON)
            connection.execute(ONE)

        ended = within(side, AMPLE, body)
        assert_stopped(ended, "a statement", Outcome.ROLLED_BACK)
        assert (1, 0) == side.on_engine(counts)
        proxy.heal()
        assert seen != [side.run(backend)]


@each
@pytest.mark.usefixtures("hasty")
def test_a_black_hole_in_commit(driver: str, postgresql_url: str) -> None:
    """Nobody knows whether the server has heard it: the outcome is unknown."""
    with connected(driver, postgresql_url) as (proxy, side):

        def body(connection: Connection) -> None:
            connection.execute(ONE)
            proxy.black_hole()
            run_out(connection, SOON)

        assert_stopped(within(side, AMPLE, body), "COMMIT", Outcome.UNKNOWN)
        assert (1, 0) == side.on_engine(counts)


@each
@pytest.mark.usefixtures("hasty")
def test_a_black_hole_in_rollback(driver: str, postgresql_url: str) -> None:
    """The exception of the block travels on: a server that is cut off rolls back."""
    with connected(driver, postgresql_url) as (proxy, side):

        def body(connection: Connection) -> None:
            connection.execute(ONE)
            proxy.black_hole()
            run_out(connection, SOON)
            raise LookupError

        ended = within(side, AMPLE, body)
        assert (LookupError, Outcome.ROLLED_BACK) == (type(ended.error), ended.outcome)
        assert not is_held_too_long(ended)
        assert (1, 0) == side.on_engine(counts)


@each
@pytest.mark.parametrize("ping", [False, True], ids=["connecting", "ping"])
def test_a_black_hole_before_the_first_statement(
    driver: str, postgresql_url: str, *, ping: bool
) -> None:
    """A new connection, and the ping of an old one, come in time or not at all."""
    with through(driver, postgresql_url, pool_pre_ping=True) as (proxy, side):
        if ping:
            side.on_engine(connect)
        proxy.black_hole()
        ended = within(side, BRIEF, lambda _: None)
        assert_stopped(ended, "connecting", None)
        proxy.heal()
        side.on_engine(connect)
        assert (1, 0) == side.on_engine(counts)
        for thread in threading.enumerate():
            if thread.name == "async_layers connecting":
                thread.join(_faults.BOUND)
                assert not thread.is_alive()


@both
@lost_cursors
@pytest.mark.usefixtures("hasty")
def test_a_black_hole_in_a_stream(driver: str, postgresql_url: str) -> None:
    """Rows that are still at the server come in time or not at all."""
    with connected(driver, postgresql_url) as (proxy, side):

        def body(connection: Connection) -> None:
            result = stream(connection, _faults.NUMBERS).yield_per(10)
            assert (1,) == result.fetchone()
            proxy.black_hole()
            run_out(connection, SOON)
            result.fetchall()

        ended = within(side, AMPLE, body)
        assert_stopped(ended, "a statement", Outcome.ROLLED_BACK)


@on("ours", "psycopg_async", "ours_async")
@pytest.mark.usefixtures("hasty")
def test_a_server_that_stands_still(own_side: Side, postgresql_url: str) -> None:
    """It takes the request to stop, and does not stop: it is cut off."""
    if make_url(postgresql_url).host not in {"127.0.0.1", "localhost"}:
        pytest.skip("the server's processes are on another machine")
    stopped = list[int]()

    def body(connection: Connection) -> None:
        connection.execute(ONE)
        stopped.append(backend(connection))
        os.kill(stopped[0], signal.SIGSTOP)
        run_out(connection, SOON)
        connection.execute(ONE)

    try:
        ended = within(own_side, AMPLE, body)
    finally:
        for number in stopped:
            os.kill(number, signal.SIGCONT)
    assert_stopped(ended, "a statement", Outcome.ROLLED_BACK)
    assert (1, 0) == own_side.on_engine(counts)


@both
def test_a_slow_network_has_its_commit(driver: str, postgresql_url: str) -> None:
    """A COMMIT whose answer is a little late is committed."""
    with connected(driver, postgresql_url) as (proxy, side):

        def body(connection: Connection) -> None:
            connection.execute(ONE)
            proxy.slow_down(0.1)
            run_out(connection, SOON)

        ended = within(side, AMPLE, body)
        assert (None, Outcome.COMMITTED) == (ended.error, ended.outcome)


@on("ours_async")
def test_a_black_hole_holds_a_cancelled_task_less_than_a_second(
    driver: str, postgresql_url: str
) -> None:
    """Without a deadline, a task that is cancelled waits for no long goodbye."""
    with connected(driver, postgresql_url) as (proxy, side):

        async def cancelled(engine: Any) -> float:
            async def work() -> None:
                async with async_transaction(engine) as connection:
                    await connection.execute(ONE)
                    proxy.black_hole()
                    await connection.execute(ONE)

            begun = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(work(), BRIEF)
            return time.monotonic() - begun - BRIEF

        assert side.drive(cancelled) < BOUND

"""What the suite has to find is planted here, and found: it can fail."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.faults import _run, _ways, _ways_async
from tests.faults._bank import ACCOUNTS, BALANCE, Truth
from tests.faults._book import Book
from tests.faults._verdict import Left, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.faults._bank import Step
    from tests.faults._book import Attempt
    from tests.faults.conftest import Happen

BLOCKING = pytest.mark.parametrize("driver", ["psycopg"])
TASKS = pytest.mark.parametrize("driver", ["asyncpg"])


def acknowledge_early(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Answer whatever becomes of COMMIT."""
    try:
        _ways.by_transaction(engine, attempt, steps)
    except DBAPIError:
        attempt.outcome = "committed"


def repeat_blindly(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Transfer again whatever the error is."""
    try:
        _ways.by_transaction(engine, attempt, steps)
    except DBAPIError:
        _ways.by_transaction(engine, attempt, steps)


def commit_in_between(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Transfer in two transactions."""
    _ways.by_transaction(engine, attempt, steps[:2])
    _ways.by_transaction(engine, attempt, steps[2:])


def call_it_rolled_back(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Say of every error that nothing is left."""
    try:
        _ways.by_transaction(engine, attempt, steps)
    except DBAPIError:
        attempt.outcome = "rolled back"
        raise


def call_it_unknown(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Say of every error that nobody knows."""
    try:
        _ways.by_transaction(engine, attempt, steps)
    except DBAPIError:
        attempt.outcome = "unknown"
        raise


def say_nothing(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Keep the outcome to oneself."""
    _ways.by_transaction(engine, attempt, steps)
    attempt.outcome = None


def run_hooks_twice(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Run the hook of a commit a second time."""
    _ways.by_transaction(engine, attempt, steps)
    attempt.hear()


def fail_strangely(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Let through what is no error of SQLAlchemy's."""
    try:
        _ways.by_transaction(engine, attempt, steps)
    except DBAPIError as error:
        raise LookupError from error


@BLOCKING
@pytest.mark.parametrize(
    ("fault", "way", "found"),
    [
        ("cut at COMMIT", acknowledge_early, {"lost", "lies"}),
        ("cut at COMMIT", repeat_blindly, {"duplicated"}),
        ("cut at every message", commit_in_between, {"half", "sums", "lies"}),
        ("cut at COMMIT", call_it_rolled_back, {"lies"}),
        ("COMMIT cancelled by the server", call_it_unknown, {"lies"}),
        ("delay", say_nothing, {"lies"}),
        ("delay", run_hooks_twice, {"lies"}),
        ("COMMIT cancelled by the server", fail_strangely, {"strange"}),
    ],
)
def test_a_worker_that_does_wrong_is_found(
    happen: Happen, fault: str, way: _ways.Way, found: set[str]
) -> None:
    """Each wrong comes out under its name."""
    assert found == set(happen(fault, [way]).problems())


class Leaking:
    """Transfer, and keep a connection in a transaction, once; and a thread."""

    def __init__(self) -> None:
        self.kept: Connection | None = None
        self.over = threading.Event()

    def connection(self, engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
        """Keep a connection."""
        if attempt.transfer.name == "0-0":
            self.kept = engine.connect()
            self.kept.execute(text("SELECT 1"))
        _ways.by_transaction(engine, attempt, steps)

    def thread(self, engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
        """Keep a thread."""
        if attempt.transfer.name == "0-0":
            threading.Thread(target=self.over.wait, name="forgotten").start()
        _ways.by_transaction(engine, attempt, steps)


@pytest.fixture
def leaking() -> Iterator[Leaking]:
    """Return what leaks, and clean up after it."""
    leaking = Leaking()
    yield leaking
    leaking.over.set()
    if leaking.kept is not None:
        leaking.kept.invalidate()
        leaking.kept.close()


@BLOCKING
def test_a_connection_that_is_kept_is_found(
    happen: Happen, leaking: Leaking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool misses it, and the server has it, in a transaction."""
    monkeypatch.setattr(_run, "PATIENCE", 0.1)
    found = happen("delay", [leaking.connection]).problems()
    assert {"left": Left(lent=1, open=1, connections=1)} == found


@BLOCKING
def test_a_thread_that_is_kept_is_found(happen: Happen, leaking: Leaking) -> None:
    """It lives when the load is over."""
    found = happen("delay", [leaking.thread]).problems()
    assert {"left": Left(threads=["forgotten"])} == found


@TASKS
def test_a_task_that_is_kept_is_found(happen: Happen) -> None:
    """It lives when the engine is disposed of."""
    kept = list[asyncio.Task[Any]]()

    async def keep(engine: AsyncEngine, attempt: Attempt, steps: list[Step]) -> None:
        if not kept:
            kept.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
        await _ways_async.by_transaction(engine, attempt, steps)

    (found,) = happen("delay", [keep]).left.tasks
    assert "forgotten" in found


def test_a_service_that_recovers_late_is_found() -> None:
    """More than five seconds after the end of the fault are too many."""
    truth = Truth(Counter(), ACCOUNTS * BALANCE, [])
    verdict = judge(
        "none", "none", Book(), truth, sums=[], left=Left(), recovered=[0.1, 5.1]
    )
    assert {"late": 5.1} == verdict.problems()

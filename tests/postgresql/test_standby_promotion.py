"""A standby is promoted while tasks, or threads, are writing."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from async_layers import async_transaction, transaction
from tests.postgresql import _faults
from tests.postgresql._dialects import OURS, OURS_ASYNC
from tests.postgresql._faults import BOUND
from tests.postgresql._standby import open_both, replicated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._standby import Both, Replicated

frozen, quiet = _faults.frozen, _faults.quiet

WORKERS, BEFORE, AFTER = 4, 10, 5  # transfers of each
RECOVERY = 5.0  # seconds
PLANTED = -1
TABLES = (
    "CREATE TABLE account (id int PRIMARY KEY, balance int)",
    "CREATE TABLE transfer (id int PRIMARY KEY)",
    "INSERT INTO account VALUES (1, 0), (2, 0)",
)
STEPS = tuple(
    text(step)
    for step in (
        "UPDATE account SET balance = balance - 1 WHERE id = 1",
        "INSERT INTO transfer VALUES (:id)",
        "UPDATE account SET balance = balance + 1 WHERE id = 2",
    )
)


class Load:
    """What the workers were told of their transfers, and when."""

    def __init__(self) -> None:
        self.acknowledged = dict[int, float]()
        self.failed = 0
        self.busy = threading.Event()
        self.enough = threading.Event()
        self._promoted = float("inf")
        self._counted = threading.Lock()

    def numbers(self, worker: int) -> Iterator[int]:
        """Yield the number of each transfer of one worker, until it is enough."""
        number = worker
        while not self.enough.is_set():
            yield number
            number += WORKERS

    def acknowledge(self, number: int) -> None:
        """Count a transfer that was committed."""
        with self._counted:
            self.acknowledged[number] = time.monotonic()
            if all(len(of) >= BEFORE for of in self._of_each(0)):
                self.busy.set()
            if all(len(of) >= AFTER for of in self._of_each(self._promoted)):
                self.enough.set()

    def fail(self) -> None:
        """Count a transfer of which nobody knows, and let the servers breathe."""
        self.failed += 1

    def promoted(self) -> None:
        """Begin to count what is done on the other server."""
        self._promoted = time.monotonic()

    def recovery(self) -> float:
        """Return the seconds until the last worker wrote again."""
        firsts = [min(of) for of in self._of_each(self._promoted)]
        return max(firsts) - self._promoted

    def _of_each(self, since: float) -> list[list[float]]:
        times = [list[float]() for _ in range(WORKERS)]
        for number, at in self.acknowledged.items():
            if at > since:
                times[number % WORKERS].append(at)
        return times


def in_threads(engine: Engine, load: Load) -> None:
    """Transfer in threads until it is enough."""

    def work(worker: int) -> None:
        for number in load.numbers(worker):
            try:
                with transaction(engine) as connection:
                    for step in STEPS:
                        connection.execute(step, {"id": number})
            except (DBAPIError, OSError):
                load.fail()
            else:
                load.acknowledge(number)

    with ThreadPoolExecutor(WORKERS) as executor:
        list(executor.map(work, range(WORKERS)))


async def in_tasks(engine: AsyncEngine, load: Load) -> None:
    """Transfer in tasks until it is enough."""

    async def work(worker: int) -> None:
        for number in load.numbers(worker):
            try:
                async with async_transaction(engine) as connection:
                    for step in STEPS:
                        await connection.execute(step, {"id": number})
            except (DBAPIError, OSError):
                load.fail()
            else:
                load.acknowledge(number)

    async with asyncio.TaskGroup() as group:
        for worker in range(WORKERS):
            group.create_task(work(worker))


def promote(pair: Replicated, load: Load) -> None:
    """Promote the standby under the load, and stop the primary after a lie of its."""
    assert load.busy.wait(BOUND)
    pair.promote()
    with psycopg.connect(pair.primary.url) as connection:
        # The one commit that does not wait for a standby is acknowledged and lost.
        connection.execute("SET synchronous_commit = local")
        connection.execute("INSERT INTO transfer VALUES (%s)", [PLANTED])
    load.acknowledged[PLANTED] = 0
    pair.stop_primary()
    load.promoted()


def run(both: Both, pair: Replicated, load: Load) -> None:
    """Run the load, with the promotion in the middle of it."""
    fault = threading.Thread(target=promote, args=(pair, load))
    bound = threading.Timer(2 * BOUND, load.enough.set)
    for thread in (fault, bound):
        thread.start()
    try:
        if both.primary.runner is None:
            in_threads(both.primary.engine, load)
        else:
            both.primary.drive(lambda engine: in_tasks(engine, load))
    finally:
        bound.cancel()
        for thread in (fault, bound):
            thread.join()


@pytest.mark.parametrize("driver", [OURS, OURS_ASYNC])
def test_promotion_is_followed_and_nothing_is_lost(driver: str) -> None:
    """The engine writes to the promoted server, and what it acknowledged is there."""
    load = Load()
    with replicated() as pair, open_both(driver, pair.url) as both:
        pair.on_primary(*TABLES)
        pair.wait_for_each()
        run(both, pair, load)
        port = both.primary.run(lambda one: one.scalar(select(func.inet_server_port())))
        there = {number for (number,) in pair.on_standby("SELECT id FROM transfer")}
        balances = pair.on_standby("SELECT balance FROM account ORDER BY id")
    assert pair.standby.port == port
    assert {PLANTED} == load.acknowledged.keys() - there
    assert [(-len(there),), (len(there),)] == balances
    assert load.failed > 0
    assert load.recovery() < RECOVERY

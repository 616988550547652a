"""A body that is cancelled at given awaits, on a place that an observer watches."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy.testing.cancellation import await_points

from async_layers import async_engine_scope, async_sessionmaker, trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import QueuePool

    from async_layers._proof.scratch import Scratch

    # The awaits at which a body is cancelled, counted from 1.
    Points = tuple[int, ...]
    Rows = tuple[str, ...]

# A body that takes longer hangs.
SECONDS = 20.0

# Turns of the loop, a millisecond each, that what runs in tasks of SQLAlchemy's and
# of the drivers' own is given to end.
TURNS = 200


class Body(NamedTuple):
    """Something to be awaited: of an `engine`, a `factory` or a `url`."""

    name: str
    argument: str
    function: Callable[[Any], Awaitable[object]]


class Left(NamedTuple):
    """What a run has left, how it ended, and how many awaits it had."""

    ended: str
    awaits: int
    lent: int
    tasks: int
    rows: Rows
    locks: str


def once_and_twice(awaits: int, some: int) -> Iterable[Points]:
    """Return some awaits, evenly spread, each alone and with the one that follows."""
    step = max(1, -(-awaits // some))
    for number in range(1, awaits + 1, step):
        yield (number,)
        yield (number, number + 1)


class Swept(NamedTuple):
    """How often a body was cancelled, and what was wrong then."""

    runs: int
    found: list[str]


async def sweep(body: Body, place: Scratch, some: int = 10_000) -> Swept:
    """Cancel a body at some of its awaits, once and twice."""
    gc.freeze()  # what is collected below is a run's own
    return await _Sweep(body, place).run(some)


class _Sweep:
    """A body on a place, and the states in which others may find its rows."""

    def __init__(self, body: Body, place: Scratch) -> None:
        self._body, self._place = body, place
        self._states: set[Rows] = set()

    def _argument(self, engine: AsyncEngine) -> object:
        if self._body.argument == "url":
            return engine.url
        return engine if self._body.argument == "engine" else async_sessionmaker(engine)

    async def run(self, some: int) -> Swept:
        whole = await self._whole()
        found, runs = list[str](), list(once_and_twice(whole.awaits, some))
        for points in runs:
            if self._rows() != self._before:
                self._place.fresh()
            left = await self._cancelled(points)
            at = f"{self._body.name} at {points} of {whole.awaits}"
            found += [f"{at}: {wrong}" for wrong in self._wrong(left, whole)]
        return Swept(len(runs), found)

    async def _whole(self) -> Left:
        """Run the body to its end twice, and note what others see on the way."""
        self._place.fresh()
        self._before = self._rows()
        self._states.add(self._before)
        with trace(observe=lambda *_: self._look()):
            await self._cancelled(())
        self._place.fresh()
        whole = await self._cancelled(())
        self._states.add(whole.rows)
        return whole

    def _look(self) -> None:
        rows = self._place.rows()
        if rows is not None:  # locked: the observer waits for no one
            self._states.add(tuple(rows))

    def _rows(self) -> Rows:
        rows = self._place.rows()
        return ("locked",) if rows is None else tuple(rows)

    def _wrong(self, left: Left, whole: Left) -> Iterable[str]:
        if left.ended not in {"cancelled", whole.ended}:
            yield f"ended with {left.ended}"
        if left.rows not in self._states:
            yield f"half done: {set(left.rows) ^ set(self._before)}"
        if left.lent:
            yield f"{left.lent} connections are lent"
        if left.tasks:
            yield f"{left.tasks} tasks are left"
        if left.locks:
            yield f"it{left.locks.removeprefix(',')}"

    async def _cancelled(self, points: Points) -> Left:
        """Run the body on an engine of its own, with a connection in its pool."""
        before = asyncio.all_tasks()
        async with async_engine_scope(self._place.urls["async"]) as engine:
            async with engine.connect():
                pass
            ended, awaits = await self._run(self._argument(engine), points)
            for turn in range(TURNS):
                if turn % 20 == 0:
                    gc.collect()
                lent, tasks = _lent(engine), len(asyncio.all_tasks() - before)
                if not lent and not tasks:
                    break
                await asyncio.sleep(0.001)
            rows, locks = self._rows(), self._place.left()
        return Left(ended, awaits, lent, tasks, rows, locks)

    async def _run(self, argument: object, points: Points) -> tuple[str, int]:
        with await_points(points) as counted:  # type: ignore[no-untyped-call] # SQLAlchemy's tests have no types
            task = counted.create_task(_call(self._body, argument))
            await asyncio.wait((task,), timeout=SECONDS)
            return _end_of(task), counted.count


def _lent(engine: AsyncEngine) -> int:
    return cast("QueuePool", engine.pool).checkedout()


async def _call(body: Body, argument: object) -> object:
    return await body.function(argument)


def _end_of(task: asyncio.Task[object]) -> str:
    if not task.done():
        return "nothing: it hangs"
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return "a result" if error is None else type(error).__name__

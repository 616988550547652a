"""The speed of both SQLite dialects, beside stock, to_thread, aiosqlite and the floor.

The floor is the blocking dialect plus, for each trip that the asyncio one takes, a trip
to aiosqlite's thread and back that was measured in the same round.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks._opening import (
    ASYNC_OURS,
    ASYNC_STOCK,
    HOP,
    OURS,
    STOCK,
    TO_THREAD_OURS,
    TO_THREAD_STOCK,
)
from tests.benchmarks._rounds import Line, Verdict, measure, standing, verdict
from tests.benchmarks._sides import database, sides, trips

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.benchmarks._rounds import Standing

FLOOR = "floor"


class Work(NamedTuple):
    """What is measured, and the targets that are set for it."""

    title: str
    faster: float | None = None  # than stock aiosqlite, at least so many times
    floor: float | None = None  # at most so many times the floor
    thread: float | None = None  # at most so many times to_thread
    synchronous: str = "FULL"


WORKS = {
    "select": Work("SELECT, connection open", faster=2.5, floor=1.4, thread=1.0),
    "connect": Work("connect, SELECT, close", faster=3.0, floor=1.4, thread=1.0),
    "autocommit": Work("the same in autocommit", floor=1.4, thread=1.0),
    "get": Work("`session.get`", faster=2.0),
    "insert": Work("INSERT, COMMIT", faster=1.4, floor=1.3),
    "insert_normal": Work("the same, `synchronous=NORMAL`", synchronous="NORMAL"),
    "many": Work("INSERT 1,000 rows, ROLLBACK"),
    "stream": Work("stream 100,000 rows", faster=2.0),
}


def results(pairs: int) -> Iterator[Line | Standing | Verdict]:
    """Yield the table of medians, row by row, then the ratios that have targets."""
    verdicts = list[Verdict]()
    load = os.getloadavg()[0]
    with database() as full, asyncio.Runner() as runner:
        for key, work in WORKS.items():
            what = key.partition("_")[0]
            counted = trips(runner, full, what)
            with sides(runner, full, what, work.synchronous) as works:
                seen = measure(works, pairs)
            hops = counted[ASYNC_OURS]
            seen[FLOOR] = [
                own + hops * hop for own, hop in zip(seen[OURS], seen[HOP], strict=True)
            ]
            if not verdicts:
                yield from _headings("µs a time", *seen, "trips")
            yield standing(work.title, seen, counted)
            verdicts += _verdicts(work, seen)
    yield Line("")
    yield from _headings("ratio", "of", "median (quartiles)", "target", "")
    yield from verdicts
    yield Line("")
    yield Line(f"{pairs} rounds, load before it {load:.1f}; a busy machine says little")


def _headings(*names: str) -> Iterator[Line]:
    yield Line(f"| {' | '.join(names)} |")
    yield Line("|---" * len(names) + "|")


def _verdicts(work: Work, seen: Mapping[str, Sequence[float]]) -> Iterator[Verdict]:
    def of(one: str, other: str) -> list[float]:
        return [a / b for a, b in zip(seen[one], seen[other], strict=True)]

    if work.faster:
        yield verdict(
            work.title,
            f"{ASYNC_STOCK} / {ASYNC_OURS}",
            of(ASYNC_STOCK, ASYNC_OURS),
            work.faster,
            at_least=True,
        )
    bounds = (
        (ASYNC_OURS, TO_THREAD_STOCK, work.thread),
        (ASYNC_OURS, TO_THREAD_OURS, work.thread),
        (ASYNC_OURS, FLOOR, work.floor),
        (OURS, STOCK, 1.0),
    )
    for one, other, bound in bounds:
        if bound:
            yield verdict(work.title, f"{one} / {other}", of(one, other), bound)

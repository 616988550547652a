"""Compare two pieces of work, in turn, and say how sure the ratio is."""

from __future__ import annotations

import gc
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLE_SECONDS = 0.02
NOISE = 0.02  # what the same work differs by on a quiet machine


class Sample(NamedTuple):
    """Seconds by the clock, and seconds of this process's processor time.

    A machine that is busy with other things lengthens the first alone. A round
    trip to a server that a helper adds or saves shows in the first alone too.
    `calls` are the function calls of one time: no noise, and no proof of speed.
    """

    clock: float
    processor: float
    calls: int = 0


@dataclass(frozen=True)
class Case:
    """Two pieces of work; each is called with how many times to do it.

    A piece that is done in another process returns the sample taken there.
    """

    name: str
    ours: Callable[[int], Sample | None]
    theirs: Callable[[int], Sample | None]
    target: float = 1.05


@dataclass(frozen=True)
class Ratio:
    """What a comparison gave: microseconds by the clock, and the sides' ratios.

    A ratio is the median of the pairs' ratios; `low` and `high` are quartiles.
    """

    name: str
    ours: float
    theirs: float
    clock: float
    clock_low: float
    clock_high: float
    processor: float
    processor_low: float
    processor_high: float
    calls_ours: int
    calls_theirs: int
    target: float
    pairs: int

    @property
    def above(self) -> bool:
        """Say whether a ratio is above the target, by either measure."""
        return max(self.clock, self.processor) > self.target + NOISE

    @property
    def missed(self) -> bool:
        """Say whether three pairs of four are above it: more than bad luck."""
        return max(self.clock_low, self.processor_low) > self.target + NOISE

    def __str__(self) -> str:
        """Return the ratios as a line of a table."""
        return (
            f"{self.name:<24}{self.ours:>10.1f} us{self.theirs:>10.1f} us"
            f"   clock {self.clock:.3f} ({self.clock_low:.3f} to {self.clock_high:.3f})"
            f"   processor {self.processor:.3f} ({self.processor_low:.3f} to "
            f"{self.processor_high:.3f})   calls {self.calls_ours}/{self.calls_theirs}"
            f"   at most {self.target}{'  above' * self.above}"
            f"{'  MISSED' * self.missed}"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the garbage collector out of a sample."""
    gc.collect(0)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def calls(work: Callable[[int], Sample | None]) -> int:
    """Return how many functions, of Python and of C, one time calls in this thread."""
    work(1)
    seen = [0]

    def profile(_: object, what: str, __: object) -> None:
        seen[0] += what in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        told = work(1)
    finally:
        sys.setprofile(None)
    return told.calls if told else seen[0]


def sample(work: Callable[[int], Sample | None], times: int) -> Sample:
    """Return what so many times take."""
    with quiet():
        clock, processor = time.perf_counter(), time.process_time()
        told = work(times)
        here = Sample(time.perf_counter() - clock, time.process_time() - processor)
    return told or here


def compare(case: Case, pairs: int) -> Ratio:
    """Do the work of both sides in turn, every other time in reverse order."""
    times = 1
    while sample(case.theirs, times).processor < SAMPLE_SECONDS:
        times *= 2
    sample(case.ours, times)
    ours, theirs = list[Sample](), list[Sample]()
    for number in range(pairs):
        sides = [(case.ours, ours), (case.theirs, theirs)]
        for work, seen in sides if number % 2 else reversed(sides):
            seen.append(sample(work, times))
    both = list(zip(ours, theirs, strict=True))
    clock = quantiles([a.clock / b.clock for a, b in both], n=4)
    processor = quantiles([a.processor / b.processor for a, b in both], n=4)
    return Ratio(
        name=case.name,
        ours=median(one.clock for one in ours) / times * 1e6,
        theirs=median(one.clock for one in theirs) / times * 1e6,
        clock=clock[1],
        clock_low=clock[0],
        clock_high=clock[2],
        processor=processor[1],
        processor_low=processor[0],
        processor_high=processor[2],
        calls_ours=calls(case.ours),
        calls_theirs=calls(case.theirs),
        target=case.target,
        pairs=pairs,
    )

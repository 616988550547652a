"""Compare two pieces of work, in turn, and say how sure the ratio is."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLE_SECONDS = 0.04


@dataclass(frozen=True)
class Case:
    """Two pieces of work; each is called with how many times to do it.

    A piece may return the seconds that it took, where it can tell better.
    """

    name: str
    ours: Callable[[int], float | None]
    theirs: Callable[[int], float | None]
    target: float = 1.05


@dataclass(frozen=True)
class Ratio:
    """What a comparison gave: microseconds of each side, and their ratio.

    `ratio` is the median of the pairs' ratios, `low` and `high` its quartiles.
    """

    name: str
    ours: float
    theirs: float
    ratio: float
    low: float
    high: float
    target: float
    pairs: int

    @property
    def missed(self) -> bool:
        """Say whether the ratio is above the target, its last digit apart."""
        return self.ratio > self.target + 0.005

    def __str__(self) -> str:
        """Return the ratio as a line of a table."""
        spread = f"{self.low:.3f} to {self.high:.3f}"
        return (
            f"{self.name:<24}{self.ours:>11.1f} us{self.theirs:>11.1f} us"
            f"   x {self.ratio:.3f} ({spread}, at most {self.target})"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the garbage collector out of a sample."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def sample(work: Callable[[int], float | None], times: int) -> float:
    """Return the microseconds that one time takes."""
    with quiet():
        start = time.perf_counter()
        told = work(times)
        seconds = time.perf_counter() - start
    return (seconds if told is None else told) / times * 1e6


def compare(case: Case, pairs: int) -> Ratio:
    """Do the work of both sides in turn, every other time in reverse order."""
    times = 1
    while sample(case.theirs, times) * times < SAMPLE_SECONDS * 1e6:
        times *= 2
    sample(case.ours, times)
    ours, theirs = list[float](), list[float]()
    for number in range(pairs):
        sides = [(case.ours, ours), (case.theirs, theirs)]
        for work, seen in sides if number % 2 else reversed(sides):
            seen.append(sample(work, times))
    ratios = [ours / theirs for ours, theirs in zip(ours, theirs, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return Ratio(
        case.name, median(ours), median(theirs), middle, low, high, case.target, pairs
    )

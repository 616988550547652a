"""Measure many sides in turn, and compare them round by round."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

from tests.benchmarks._measure import NOISE, SAMPLE_SECONDS, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.benchmarks._measure import Sample


@dataclass(frozen=True)
class Line:
    """A line of a table that is no measurement."""

    text: str
    missed: bool = False

    def __str__(self) -> str:
        """Return the line."""
        return self.text


@dataclass(frozen=True)
class Standing:
    """The medians of all sides at one work, in microseconds, and the trips taken."""

    name: str
    medians: Mapping[str, float]
    trips: Mapping[str, int]
    missed: bool = False

    def __str__(self) -> str:
        """Return the medians as a row of a Markdown table."""
        numbers = (_short(one) for one in self.medians.values())
        counts = " → ".join(str(one) for one in self.trips.values())
        return f"| {self.name} | {' | '.join(numbers)} | {counts} |"


@dataclass(frozen=True)
class Verdict:
    """The median of the rounds' ratios, its quartiles, and what it should be."""

    name: str
    beside: str
    ratio: float
    low: float
    high: float
    target: float
    at_least: bool

    @property
    def missed(self) -> bool:
        """Say whether the median misses the target by more than noise."""
        if self.at_least:
            return self.ratio < self.target * (1 - NOISE)
        return self.ratio > self.target * (1 + NOISE)

    def __str__(self) -> str:
        """Return the ratio as a row of a Markdown table."""
        bound = f"at {'least' if self.at_least else 'most'} {self.target}"
        return (
            f"| {self.name} | {self.beside} | {self.ratio:.2f} "
            f"({self.low:.2f} to {self.high:.2f}) | {bound} "
            f"| {'missed' if self.missed else 'met'} |"
        )


def measure(
    works: Mapping[str, Callable[[int], Sample | None]], rounds: int
) -> dict[str, list[float]]:
    """Return the microseconds of one time, of each side in each round.

    Every round begins with another side, and every other one runs backwards.
    """
    names, times = list(works), 1
    while sample(works[names[0]], times).clock < SAMPLE_SECONDS:
        times *= 2
    for work in works.values():
        sample(work, times)
    seen = {name: list[float]() for name in names}
    for number in range(rounds):
        turn = number % len(names)
        order = names[turn:] + names[:turn]
        for name in order if number % 2 else reversed(order):
            seen[name].append(sample(works[name], times).clock / times * 1e6)
    return seen


def standing(
    name: str, seen: Mapping[str, Sequence[float]], trips: Mapping[str, int]
) -> Standing:
    """Return the medians of each side."""
    medians = {side: median(taken) for side, taken in seen.items()}
    return Standing(name, medians, trips)


def verdict(
    name: str,
    beside: str,
    ratios: Sequence[float],
    target: float,
    *,
    at_least: bool = False,
) -> Verdict:
    """Compare the median of ratios, one of each round, with a target."""
    low, middle, high = quantiles(ratios, n=4)
    return Verdict(name, beside, middle, low, high, target, at_least)


def _short(microseconds: float) -> str:
    return f"{microseconds:,.1f}" if microseconds < 100 else f"{microseconds:,.0f}"

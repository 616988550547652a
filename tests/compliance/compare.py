"""What our dialect owes to SQLAlchemy's own of the same world."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Outcome: TypeAlias = Literal["passed", "skipped", "failed"]
Outcomes: TypeAlias = "Mapping[str, Outcome]"

_BEST_FIRST: tuple[Outcome, ...] = ("passed", "skipped", "failed")


def worse(one: Outcome, other: Outcome) -> Outcome:
    """Return the outcome of a test that has both."""
    return max(one, other, key=_BEST_FIRST.index)


def summary(outcomes: Outcomes) -> str:
    """Return how many tests passed, were skipped and failed."""
    counts = Counter(outcomes.values())
    return ", ".join(f"{counts[outcome]:4} {outcome}" for outcome in _BEST_FIRST)


def failed(outcomes: Outcomes) -> list[str]:
    """Return the names of the tests that failed."""
    return sorted(name for name, outcome in outcomes.items() if outcome == "failed")


def lost(stock: Outcomes, ours: Outcomes) -> list[str]:
    """Return the names of the tests that stock runs and ours skips or has not."""
    return sorted(
        name
        for name, outcome in stock.items()
        if outcome != "skipped" and ours.get(name, "skipped") == "skipped"
    )

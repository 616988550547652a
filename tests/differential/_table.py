"""The table of categories, and the list of what is not identical."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.differential._declared import reason_for
from tests.differential._outcome import Category, Level, compare, form

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.differential._outcome import Outcome
    from tests.differential._sides import Side

    Outcomes = Mapping[str, Outcome]
    Pair = tuple[Side, Side]

_TITLES = ("identical", "cosmetic", "statements", "error class", "value or error")


def categories(one: Outcomes, other: Outcomes) -> dict[str, Category]:
    """Return the category of each scenario that both have run."""
    return {name: compare(one[name], other[name]) for name in one if name in other}


def heading() -> str:
    """Return the first line of the table."""
    return _line("pair", "scenarios", *_TITLES)


def line(pair: Pair, found: Mapping[str, Category]) -> str:
    """Return a pair's line of the table."""
    kinds = list(found.values())
    counts = [str(kinds.count(category)) for category in Category]
    return _line(f"{pair[0].name} / {pair[1].name}", str(len(kinds)), *counts)


def _line(first: str, *others: str) -> str:
    return f"{first:28}" + "".join(f"{each:>16}" for each in others)


def differences(pair: Pair, outcomes: Sequence[Outcomes]) -> Iterator[str]:
    """Yield each scenario that is not identical, with what differs in it."""
    one, other = outcomes
    for name, category in categories(one, other).items():
        if category is Category.IDENTICAL:
            continue
        title = _TITLES[category]
        reason = reason_for(name) if pair[1].ours else None
        declared = f" (declared: {reason})" if reason else ""
        yield f"\n{title}: {name}{declared}"
        for field in ("told", "rows", "left", "control", "logged"):
            seen = [_text(getattr(each[name], field)) for each in outcomes]
            if seen[0] != seen[1]:
                for side, text in zip(pair, seen, strict=True):
                    yield f"    {side.name:16}{field:8}{text}"


def _text(value: object) -> str:
    text = form(value, Level.EXACT)
    return text if len(text) <= 600 else f"{text[:600]}..."

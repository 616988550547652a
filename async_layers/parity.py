"""Whether two halves of a pair leave the same behind, and what is written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from async_layers._proof.outcome import Outcome, run_half
from async_layers._proof.server import contradictions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_layers._proof.facts import Expectation, Fact
    from async_layers._proof.scratch import Scratch

PARTS = ("result", "error", "driver_error", "trace", "rows", "pool", "driver")
_COMPARED = ("result", "error", "trace", "rows", "pool")


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of an outcome that is not as it must be.

    `part` is one of `PARTS`, `server` or `declared`; `where` names the world
    and, for a trace, the line and its layer. `left` and `right` are what
    stands against each other, under the names in `sides`.
    """

    part: str
    where: str
    sides: tuple[str, str]
    left: str
    right: str

    def __str__(self) -> str:
        """Return one line: which part differs, where, and how."""
        left, right = (text.strip() or "nothing" for text in (self.left, self.right))
        return (
            f"{self.part} ({self.where}): {self.sides[0]} {_first(left)!r}, "
            f"{self.sides[1]} {_first(right)!r}"
        )

    def side_by_side(self) -> str:
        """Return both sides in columns, `|` between lines that differ."""
        left, right = self.left.splitlines(), self.right.splitlines()
        width = max(map(len, [self.sides[0], *left]))
        lines = [f"{self.sides[0]:{width}}   {self.sides[1]}"]
        for one, other in zip_longest(left, right, fillvalue=""):
            mark = " " if one == other else "|"
            lines.append(f"{one:{width}} {mark} {other}".rstrip())
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a pair holds on a database, and if not, why.

    `seconds` is what both halves took. `skipped` says why the server could
    not be asked; the halves are empty then.
    """

    fact: Fact
    sync: Outcome
    asyncio: Outcome
    differences: tuple[Difference, ...] = ()
    seconds: float = 0.0
    skipped: str = ""

    @property
    def holds(self) -> bool:
        """Whether both halves left what is written, and the same."""
        return not self.differences and not self.skipped

    @property
    def reason(self) -> str | None:
        """Why the pair does not hold, in one line; None where it does."""
        return self.skipped or "; ".join(map(str, self.differences)) or None


def prove(fact: Fact, place: Scratch) -> Verdict:
    """Run both halves of a fact on a database and judge them.

    Each half runs on fresh tables, with a trace, a witness of the server and
    an observer of the rows. Errors of the halves are outcomes and do not
    travel on.
    """
    lack = place.lacks(fact.needs)
    if lack:
        return Verdict(fact, Outcome(), Outcome(), skipped=lack)
    start = time.perf_counter()
    sync = run_half(fact, "sync", place)
    asyncio = run_half(fact, "async", place)
    seconds = time.perf_counter() - start
    return Verdict(
        fact, sync, asyncio, tuple(judge(fact, place, sync, asyncio)), seconds
    )


def judge(
    fact: Fact, place: Scratch, sync: Outcome, asyncio: Outcome
) -> Iterator[Difference]:
    """Compare both outcomes with what is written, with the server, with each other."""
    written = {
        world: fact.expected(place.database, world, place.drivers[world])
        for world in ("sync", "async")
    }
    for world, outcome in (("sync", sync), ("async", asyncio)):
        yield from _against_written(world, written[world], outcome)
        if not written[world].server:
            for traced, seen in contradictions(outcome):
                yield Difference("server", world, ("traced", "server"), traced, seen)
    yield from _against_each_other(written["sync"], written["async"], sync, asyncio)


def _against_written(
    world: str, expected: Expectation, outcome: Outcome
) -> Iterator[Difference]:
    for part in PARTS:
        left, right = getattr(expected, part), getattr(outcome, part)
        if part == "result" and expected.error:
            left = ""
        if left != right:
            where = world
            if part == "trace":
                where = f"{world}, {_place(left, right, outcome)}"
            yield Difference(part, where, ("written", "seen"), left, right)


def _place(left: str, right: str, outcome: Outcome) -> str:
    """Return the line in which two traces part, and its layer."""
    layers = {str(event): event.layer for event in outcome.recorded.events}
    lines = zip_longest(left.splitlines(), right.splitlines(), fillvalue="")
    numbered = enumerate(lines, 1)
    number, (one, other) = next(line for line in numbered if line[1][0] != line[1][1])
    layer = layers.get(other) or layers.get(one) or "connection"
    return f"line {number}, {layer}"


def _against_each_other(
    written_sync: Expectation,
    written_async: Expectation,
    sync: Outcome,
    asyncio: Outcome,
) -> Iterator[Difference]:
    parts = [
        part for part in _COMPARED if getattr(sync, part) != getattr(asyncio, part)
    ]
    both = ("sync", "async")
    declared = written_sync.differs or written_async.differs
    other_traces = declared and written_sync.trace != written_async.trace
    skip = written_sync.server or written_async.server or other_traces
    if declared:
        pairs = ((getattr(written_sync, p), getattr(written_async, p)) for p in PARTS)
        if all(left == right for left, right in pairs) and not skip:
            yield Difference("declared", "both", both, declared, "no difference")
    for part in () if declared else parts:
        left, right = getattr(sync, part), getattr(asyncio, part)
        yield Difference(part, "both", both, left, right)
    left, right = _server_text(sync), _server_text(asyncio)
    if left != right and not skip:
        yield Difference("server", "both", both, left, right)


def _server_text(outcome: Outcome) -> str:
    ordered = sorted(outcome.server, key=lambda seen: seen[0].connection or 0)
    return "\n".join(f"{event}: {sight}" for event, sight in ordered)


def _first(text: str) -> str:
    """Return a text that fits into a line."""
    lines = text.splitlines()
    return text if len(lines) == 1 else f"{lines[0]} ... ({len(lines)} lines)"

"""The page of one verdict: what both worlds did, and whether the pair holds."""

from __future__ import annotations

from itertools import zip_longest
from textwrap import indent
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from async_layers._cli.both_lanes import BothLanes
from async_layers._cli.show import heading, labelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import (
        Console,
        ConsoleOptions,
        RenderableType,
        RenderResult,
    )

    from async_layers._proof.outcome import Outcome
    from async_layers._proof.scratch import Scratch
    from async_layers.parity import Difference, Verdict


def verdict_page(verdict: Verdict, place: Scratch) -> Iterator[RenderableType]:
    """Yield the lanes, the server's sight, what the caller got, the verdict."""
    yield from heading(verdict.fact)
    if not verdict.skipped:
        sync, asyncio = verdict.sync, verdict.asyncio
        titles = (
            f"blocking: {place.drivers['sync']}",
            f"asyncio: {place.drivers['async']}",
        )
        yield BothLanes(sync.recorded.events, asyncio.recorded.events, titles)
        if sync.server or asyncio.server:
            yield Text()
            yield _sights(sync, asyncio)
        yield Text()
        yield labelled(_said(sync, asyncio))
        yield Text()
    yield from judgement(verdict, place)


def _sights(sync: Outcome, asyncio: Outcome) -> Table:
    """Return what the server saw after each event, once where it is the same."""
    sides = [
        [(str(event), str(sight)) for event, sight in outcome.server]
        for outcome in (sync, asyncio)
    ]
    same = sides[0] == sides[1]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("after", header_style="bold")
    heads = ["the server saw"] if same else ["blocking: the server saw", "asyncio"]
    for head in heads:
        table.add_column(head, header_style="bold", overflow="fold")
    if same:
        for event, sight in sides[0]:
            table.add_row(Text(event), Text(sight))
        return table
    for one, other in zip_longest(*sides, fillvalue=("", "")):
        event = one[0] if one[0] == other[0] else f"{one[0] or '-'} | {other[0] or '-'}"
        table.add_row(Text(event), Text(one[1]), Text(other[1]))
    return table


def _said(sync: Outcome, asyncio: Outcome) -> Iterator[tuple[str, str]]:
    """Yield what the caller and an observer got, once where it is the same."""
    labels = {"result": "result", "rows": "others see", "pool": "pool"}
    for part, label in ({"error": "error"} | labels).items():
        left, right = getattr(sync, part), getattr(asyncio, part)
        if left == right:
            yield label, left
        else:
            yield f"{label}, blocking", left or "-"
            yield f"{label}, asyncio", right or "-"


def judgement(verdict: Verdict, place: Scratch) -> Iterator[RenderableType]:
    """Yield one line, and both sides of all that is not as it must be."""
    where = f"{place.database} ({place.drivers['sync']} | {place.drivers['async']})"
    name = verdict.fact.name
    if verdict.holds:
        time = f"{verdict.seconds:.3f} s"
        yield Text.assemble(name, (" holds", "bold green"), f" on {where}, {time}")
    elif verdict.skipped:
        yield Text.assemble(
            name, (" is not tried", "bold yellow"), f" on {where}: {verdict.skipped}."
        )
    else:
        failed = (" does not hold", "bold red")
        yield Text.assemble(name, failed, f" on {where}: {verdict.differences[0]}")
        for one in verdict.differences:
            yield Text(f"  {one.part} ({one.where})", style="bold")
            yield _Sides(one)


class _Sides:
    """Both sides of a difference, beside each other where that fits."""

    def __init__(self, difference: Difference) -> None:
        self._difference = difference

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Yield columns, or one side after the other."""
        one = self._difference
        columns = indent(one.side_by_side(), "    ")
        if max(map(len, columns.splitlines())) <= options.max_width:
            yield Text(columns)
            return
        for side, text in zip(one.sides, (one.left, one.right), strict=True):
            yield Text(f"    {side}")
            yield Padding(Text(text or "nothing"), (0, 0, 0, 6), expand=False)

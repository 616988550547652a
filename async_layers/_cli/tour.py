"""A first walk: one pair of each layer, run in both worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from async_layers._cli.pair import Pair
from async_layers._cli.verdict import judgement
from async_layers._trace.lanes import COLOURS, lanes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from async_layers._proof.scratch import Scratch
    from async_layers.parity import Verdict
    from async_layers.trace import Layer

STOPS: dict[Layer, str] = {
    "engine": "engine.same_connection",
    "connection": "connection.raise_inside",
    "session": "session.nested_block_rolls_back",
}

_ABOUT: dict[Layer, str] = {
    "engine": "lends connections from a pool and takes them back, clean",
    "connection": "sends statements, and begins and ends transactions",
    "session": "gathers objects into one unit of work, and flushes it",
}
_INTRODUCTION = (
    "SQLAlchemy has three layers, and each exists twice: blocking and under asyncio. "
    "Below is one pair of functions a layer. Both have just been run, on a new SQLite "
    "file, and had to leave the same trace, the one that is written down."
)
_NEXT = (
    ("async-layers list", "all facts, by layer"),
    ("async-layers show raise_inside", "one pair, and what is written of it"),
    ("async-layers run raise_inside", "one pair, run and judged"),
    ("async-layers verify --postgres", "all pairs, on a PostgreSQL of their own"),
    ("async-layers differences", "where the two worlds differ, and what to write"),
)


def tour_page(verdicts: Sequence[Verdict], place: Scratch) -> Iterator[RenderableType]:
    """Yield what came of each stop, and where to go next."""
    yield Text(_INTRODUCTION)
    for number, (layer, verdict) in enumerate(zip(STOPS, verdicts, strict=True), 1):
        yield Text()
        colour = COLOURS[layer]
        yield Rule(Text(f"{number}. {layer}", style=f"bold {colour}"), style=colour)
        yield Text(f"The {layer} {_ABOUT[layer]}.", style="dim")
        yield Text()
        yield Text(verdict.fact.sentence, style="bold")
        yield Text()
        yield Pair(verdict.fact)
        yield Text()
        yield Text("The trace of both, top to bottom:")
        yield Text()
        yield lanes(verdict.sync.recorded.events)
        yield Text()
        yield from judgement(verdict, place)
    yield Text()
    yield Rule(Text("Where to go next", style="bold"), style="dim")
    yield _next_commands()


def _next_commands() -> Table:
    """Return a line a command: what to type, and what it shows."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan")
    for command, what in _NEXT:
        table.add_row(command, what)
    return table

"""The page of one fact: its pair, and what is written of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from async_layers._cli.pair import Pair
from async_layers._cli.written import (
    Declared,
    Written,
    declared,
    halves_of,
    written,
)
from async_layers._trace.lanes import lanes, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from async_layers._proof.facts import Fact


def show_page(fact: Fact, better: Fact | None = None) -> Iterator[RenderableType]:
    """Yield the sentence, the pair, what is written of it, and what is better."""
    yield from heading(fact)
    yield Pair(fact)
    for one in written(fact, halves_of(fact), "trace"):
        yield Text()
        yield Text(f"Written: {one.where}", style="bold")
        events = read(one.expected.trace)
        yield lanes(events) if events else Text("nothing is traced", style="dim")
        yield labelled(_around(fact, one))
    for other in declared(fact):
        yield Text()
        yield from difference(other)
    yield from instead(fact)
    if better:
        yield Text()
        yield Pair(better)


def heading(fact: Fact) -> Iterator[RenderableType]:
    """Yield the name and the sentence of a fact."""
    only = "" if len(fact.databases) > 1 else f"  ({' '.join(fact.databases)} only)"
    yield Text.assemble((fact.name, "bold"), (only, "dim"))
    yield Text(fact.sentence)
    yield Text()


def _around(fact: Fact, shared: Written) -> Iterator[tuple[str, str]]:
    """Yield what is written beside a trace, once where it is the same."""
    parts = {"result": "result", "error": "error", "rows": "others see", "pool": "pool"}
    for part, label in parts.items():
        also = ("error",) if part == "result" else ()
        groups = written(fact, shared.halves, part, *also)
        for one in groups:
            text = getattr(one.expected, part)
            if part == "result" and one.expected.error:
                continue
            yield label if len(groups) == 1 else f"{label}, {one.where}", text


def labelled(rows: Iterable[tuple[str, str]]) -> Table:
    """Return a line a row: a label, and a text if there is one."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for label, text in rows:
        if text:
            table.add_row(Text(label, style="dim"), Text(text))
    return table


def difference(one: Declared) -> Iterator[RenderableType]:
    """Yield where the worlds differ, why, and both sides of each part."""
    yield Text.assemble(("≠ ", "bold red"), (one.where, "bold"), f"  {one.why}")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("", "blocking", "asyncio"):
        table.add_column(title, header_style="bold", overflow="fold")
    for part, left, right in one.parts:
        cells = (Text(text or "-") for text in (left, right))
        table.add_row(Text(part.replace("_", " "), style="dim"), *cells)
    if one.parts:
        yield table


def instead(fact: Fact) -> Iterator[RenderableType]:
    """Yield what to write instead, where the worlds must differ."""
    if fact.instead:
        yield Text.assemble(("Write instead: ", "bold green"), fact.instead)

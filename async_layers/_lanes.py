"""Draw a trace as three lanes, top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from async_layers.trace import Event

_LANES = ("session", "connection", "engine")
_COLOURS = {"session": "magenta", "connection": "cyan", "engine": "yellow"}


def lanes(events: Iterable[Event]) -> Table:
    """Return a table: a row an event, in the column of its layer."""
    table = Table(box=None, pad_edge=False)
    for lane in _LANES:
        table.add_column(lane, style=_COLOURS[lane], header_style=f"bold {lane}")
    for event in events:
        row = [Text(str(event)) if event.layer == lane else Text("") for lane in _LANES]
        table.add_row(*row)
    return table

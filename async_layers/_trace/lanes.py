"""Draw a trace as three lanes, top to bottom, each with a line while it is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.table import Table
from rich.text import Text

from async_layers.trace import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from async_layers.trace import Layer

LANES: tuple[Layer, ...] = ("session", "connection", "engine")
COLOURS: dict[Layer, str] = {
    "session": "magenta",
    "connection": "cyan",
    "engine": "yellow",
}

_OPENS = ("begin", "BEGIN", "SAVEPOINT", "checkout")
_ENGINE = ("connect", "checkout", "reset", "checkin", "invalidate", "detach", "dispose")
_LEAVES = ("checkin", "invalidate", "detach", "close")
_ENDS_TRANSACTION = ("COMMIT", "ROLLBACK", "PREPARE TRANSACTION")
_ENDS_SAVEPOINT = ("RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT")
_GOES_ON = str.maketrans("┌├└·", "││  ")


@dataclass(frozen=True, slots=True)
class Row:
    """An event, and what stands in each lane beside it: `│ ├` is a line and a tick."""

    event: Event
    lines: dict[Layer, str]

    def going_on(self) -> dict[Layer, str]:
        """Return what stands in the lanes where nothing happens after this row."""
        return {lane: text.translate(_GOES_ON) for lane, text in self.lines.items()}


class _Lane:
    """The lines of one lane: each belongs to a connection, the session's to none."""

    def __init__(self) -> None:
        self._open: list[int | None] = []

    def draw(self) -> str:
        """Return the lines that are open."""
        return " ".join(" " if one is None else "│" for one in self._open)

    def event(self, key: int, kind: Literal["open", "close", "close all", ""]) -> str:
        """Return the lines with a mark for an event, and open or close its line."""
        places = [i for i, one in enumerate(self._open) if one == key]
        if kind == "open":
            return self._marked(self._take(key), "┌")
        if not places:
            return self._marked(self._take(None), "·")
        closed = places if kind == "close all" else places[-1:]
        if kind:
            drawn = self._marked(closed[0], "└")
            self.drop(key, len(places) - len(closed))
            return drawn
        return self._marked(places[-1], "├")

    def drop(self, key: int, keep: int = 0) -> None:
        """End the lines of a connection, but for the first ones."""
        for place in [i for i, one in enumerate(self._open) if one == key][keep:]:
            self._open[place] = None
        while self._open and self._open[-1] is None:
            self._open.pop()

    def depth(self, key: int) -> int:
        """Return how many lines a connection has."""
        return self._open.count(key)

    def _take(self, key: int | None) -> int:
        free = [i for i, one in enumerate(self._open) if one is None]
        after = max((i for i, one in enumerate(self._open) if one == key), default=-1)
        place = next((i for i in free if i > after), len(self._open))
        self._open[place : place + 1] = [key]
        return place

    def _marked(self, place: int, mark: str) -> str:
        drawn = list(self.draw())
        drawn[2 * place] = mark
        while self._open and self._open[-1] is None:
            self._open.pop()
        return "".join(drawn)


def draw(events: Iterable[Event]) -> list[Row]:
    """Return a row an event, with the lines of the lanes that are open there."""
    drawn: dict[Layer, _Lane] = {lane: _Lane() for lane in LANES}
    rows = list[Row]()
    for event in events:
        key = event.connection or 0
        lane = drawn[event.layer]
        marked = lane.event(key, _kind(event, lane.depth(key)))
        if event.layer == "engine" and event.text in _LEAVES:
            drawn["connection"].drop(key)
        lines: dict[Layer, str] = {name: drawn[name].draw() for name in LANES}
        lines[event.layer] = marked
        rows.append(Row(event, lines))
    return rows


def _kind(event: Event, depth: int) -> Literal["open", "close", "close all", ""]:
    """Say whether an event opens or closes a line of its lane."""
    text = event.text
    if text.startswith(_OPENS):
        return "" if event.failed else "open"
    if event.layer == "engine":
        return "close" if text in _LEAVES else ""
    if event.layer == "session":
        ends = ("commit", "rollback", "close")
        return "close" if text.startswith(ends) else ""
    if text.startswith(_ENDS_SAVEPOINT):
        return "close" if depth > 1 else ""
    prepared = text.endswith("PREPARED")
    return "close all" if text.startswith(_ENDS_TRANSACTION) and not prepared else ""


def read(trace: str) -> list[Event]:
    """Return the events of a written trace; its lines say which layer each is of."""
    events = list[Event]()
    sessions = 0
    for line in trace.splitlines():
        text = line.removesuffix(" (failed)")
        name, _, number = text.partition(" #")
        layer: Layer = "session"
        if name[:1].isupper():
            layer = "connection"
        elif name in _ENGINE or (name == "close" and not sessions):
            layer = "engine"
        else:
            kind = _kind(Event("session", name, 0.0), 0)
            sessions += {"open": 1, "close": -1}.get(kind, 0)
        connection = int(number or 1) if layer != "session" else None
        events.append(Event(layer, name, 0.0, connection, failed=text != line))
    return events


def lanes(events: Iterable[Event]) -> Table:
    """Return a table: a row an event, in the column of its layer."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for lane in LANES:
        table.add_column(lane, header_style=f"bold {COLOURS[lane]}", no_wrap=True)
    for row in draw(events):
        table.add_row(*(_cell(row, lane) for lane in LANES))
    return table


def _cell(row: Row, lane: Layer) -> Text:
    cell = Text(row.lines[lane], style=COLOURS[lane])
    if row.event.layer == lane:
        cell.append(f" {row.event}", style="bold red" if row.event.failed else "")
    return cell

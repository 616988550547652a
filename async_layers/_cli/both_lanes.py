"""Draw the traces of both worlds beside each other, in little width."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import chain
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from async_layers._trace.lanes import COLOURS, LANES, Row, draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from async_layers.trace import Event, Layer

_GAP = 3


class BothLanes:
    """Two traces; each line is the lanes' three lines, then the event.

    A mark stands between lines that differ. Where the width is too small for
    both, the asyncio one stands below the blocking one.
    """

    def __init__(
        self,
        sync: Iterable[Event],
        asyncio: Iterable[Event],
        titles: tuple[str, str] = ("blocking", "asyncio"),
    ) -> None:
        self._sides = (draw(sync), draw(asyncio))
        self._titles = titles

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Draw beside each other what fits, else one after the other."""
        columns = list(map(_column, self._sides, self._titles))
        wide = [max(line.cell_len for line in column) for column in columns]
        if sum(wide) + _GAP > options.max_width:
            yield from (*columns[0], Text(), *columns[1])
            return
        table = Table.grid(padding=(0, 1))
        pairs = _align(*self._sides)
        left = _column([one for one, _ in pairs], self._titles[0])
        right = _column([other for _, other in pairs], self._titles[1])
        marks = [" ", " ", *(" " if one and other else "≠" for one, other in pairs)]
        for one, mark, other in zip(left, marks, right, strict=True):
            table.add_row(one, Text(mark, style="bold red"), other)
        yield table


def _align(
    left: Sequence[Row], right: Sequence[Row]
) -> list[tuple[Row | None, Row | None]]:
    """Return the rows of two traces beside each other, None where one has none."""
    lefts, rights = ([str(row.event) for row in rows] for rows in (left, right))
    aligned = list[tuple[Row | None, Row | None]]()
    matcher = SequenceMatcher(None, lefts, rights, autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            aligned += zip(left[i:i_end], right[j:j_end], strict=True)
        else:
            aligned += [(row, None) for row in left[i:i_end]]
            aligned += [(None, row) for row in right[j:j_end]]
    return aligned


def _column(rows: Sequence[Row | None], title: str) -> list[Text]:
    """Return a title, the lanes' initials, and a line a row."""
    drawn = [row.lines for row in rows if row]
    widths = {
        lane: max(chain([1], (len(lines[lane]) for lines in drawn))) for lane in LANES
    }
    initials = Text(" ").join(
        Text(f"{lane[0]:{widths[lane]}}", style=f"bold {COLOURS[lane]}")
        for lane in LANES
    )
    column = [Text(title, style="bold"), initials]
    last: dict[Layer, str] = {}
    for row in rows:
        lines = row.lines if row else last
        cell = Text()
        for lane in LANES:
            cell.append(f"{lines.get(lane, ''):{widths[lane]}} ", style=COLOURS[lane])
        if row:
            failed, layer = row.event.failed, row.event.layer
            cell.append(str(row.event), style="bold red" if failed else COLOURS[layer])
            last = row.going_on()
        column.append(cell)
    return column

"""Fold a line of code that is too long for its column, where brackets open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_INDENT = 4
_TOKENS = re.compile(r""""[^"]*"|'[^']*'|[()\[\]{},]""")
# What a statement ends with: it goes to a row of its own, whole.
_TAIL = re.compile(r" (?:as \w+:|-> .+:)$|(?<= =) [^()\[\]{}]+$")


class Piece(NamedTuple):
    """A part of a line: where it begins and ends, and how far it is indented."""

    start: int
    end: int
    indent: int


def fold(line: str, width: int) -> list[Piece]:
    """Return the pieces of a line, each no longer than a width."""
    start = len(line) - len(line.lstrip())
    indent = min(start, _deepest(width))
    return list(_fold(line, Piece(start, len(line), indent), width, hang=_INDENT))


def _fold(line: str, piece: Piece, width: int, hang: int) -> Iterator[Piece]:
    start, end, indent = piece
    if end - start <= width - indent:
        yield piece
        return
    tail = _TAIL.search(line, start, end)
    if tail and _fits(piece, tail.start(), width):
        yield Piece(start, tail.start(), indent)
        yield Piece(tail.start() + 1, end, _further(indent, width))
        return
    items = _items(line, start, end)
    bracket = _bracket(line, start, end)
    if len(items) > 1:
        yield from _fill(line, items, piece, width, hang)
    elif bracket:
        inside = _further(indent, width)
        yield from _cut(line, Piece(start, bracket, indent), width)
        yield from _fold(line, Piece(bracket, end, inside), width, 0)
    else:
        yield from _cut(line, piece, width)


def _fits(piece: Piece, at: int, width: int) -> bool:
    """Say whether a piece that is cut at a space is two rows."""
    head, rest = at - piece.start, piece.end - at - 1
    fits = rest <= width - _further(piece.indent, width)
    return 0 < head <= width - piece.indent and fits


def _deepest(width: int) -> int:
    """Return the indent that leaves a word's room to read."""
    return max(0, width - 4 * _INDENT)


def _further(indent: int, width: int) -> int:
    return min(indent + _INDENT, _deepest(width))


def _depths(line: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield each bracket and comma, where it stands, and in how many brackets."""
    depth = 0
    for token in _TOKENS.finditer(line, start, end):
        mark = token[0]
        if mark in ")]}":
            depth = max(0, depth - 1)
        if len(mark) == 1:
            yield mark, token.start(), depth
        if mark in "([{":
            depth += 1


def _items(line: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return where the items of a list begin and end, their commas included."""
    commas = [
        at + 1
        for mark, at, depth in _depths(line, start, end)
        if mark == "," and depth == 0
    ]
    ends = [*(at for at in commas if line[at:end].strip(" )]}")), end]
    items = list[tuple[int, int]]()
    for one in ends:
        start += len(line[start:one]) - len(line[start:one].lstrip())
        items.append((start, one))
        start = one
    return items


def _fill(
    line: str, items: list[tuple[int, int]], piece: Piece, width: int, hang: int
) -> Iterator[Piece]:
    """Put as many items into a row as it takes."""
    row = Piece(*items[0], piece.indent)
    for start, end in items[1:]:
        if end - row.start <= width - row.indent:
            row = row._replace(end=end)
            continue
        yield from _fold(line, row, width, hang)
        row = Piece(start, end, min(piece.indent + hang, _deepest(width)))
    yield from _fold(line, row, width, hang)


def _bracket(line: str, start: int, end: int) -> int:
    """Return the place after the last bracket that opens and holds something."""
    opened = [
        at + 1
        for mark, at, depth in _depths(line, start, end)
        if mark in "([{" and depth == 0 and line[at + 1 : end][:1] not in ")]}"
    ]
    return opened[-1] if opened else 0


def _cut(line: str, piece: Piece, width: int) -> Iterator[Piece]:
    """Cut at the last space or dot that fits, else where the width ends."""
    start, end, indent = piece
    while end - start > width - indent:
        room = max(1, width - indent)
        places = (line.rfind(mark, start + 1, start + room + 1) for mark in " .")
        found = max(places)
        stop = found if found > 0 else start + room
        yield Piece(start, stop, indent)
        start = stop + (line[stop] == " ")
        indent = _further(piece.indent, width)
    yield Piece(start, end, indent)

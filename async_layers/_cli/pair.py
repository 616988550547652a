"""Draw a pair of functions side by side, and mark what asyncio changes."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from textwrap import dedent
from typing import TYPE_CHECKING, Literal, TypeAlias

from rich.text import Text

from async_layers._cli.fold import fold
from async_layers.mirror import align

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, ConsoleOptions, RenderResult

    from async_layers._proof.facts import Fact

Mark: TypeAlias = Literal[" ", "~", "≠"]

_LEGEND: dict[Mark, str] = {"~": "~ asyncio's spelling", "≠": "≠ a difference"}
# Below this width the columns would be too narrow to read.
SIDE_BY_SIDE = 72

_STYLES: dict[Mark, str] = {" ": "", "~": "bold green", "≠": "bold red"}
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of each function, None where one has none, and what they differ by."""

    blocking: str | None
    asyncio: str | None
    mark: Mark


def pair_lines(fact: Fact) -> list[Line]:
    """Return the lines of both functions beside each other, without docstrings."""
    rows = align(source(fact.blocking), source(fact.asyncio))
    return [Line(one, other, _mark(one, other, differ)) for one, other, differ in rows]


def _mark(blocking: str | None, asyncio: str | None, differ: bool) -> Mark:  # noqa: FBT001 - a row of align()
    if differ:
        return "≠"
    return " " if blocking == asyncio else "~"


def source(function: Callable[..., object]) -> str:
    """Return the source of a function without its docstring."""
    text = dedent(inspect.getsource(function))
    lines = text.splitlines()
    definition = ast.parse(text).body[0]
    if function.__doc__ and isinstance(
        definition, ast.FunctionDef | ast.AsyncFunctionDef
    ):
        docstring = definition.body[0]
        last = docstring.end_lineno or docstring.lineno
        if last < len(lines) and not lines[last].strip():
            last += 1
        del lines[docstring.lineno - 1 : last]
    return "\n".join(lines) + "\n"


class Pair:
    """A pair side by side, in a narrow terminal one after the other.

    Colour shows what asyncio changes, and so does a mark in the gutter.
    """

    def __init__(self, fact: Fact) -> None:
        self._lines = pair_lines(fact)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Yield a line a row."""
        width = options.max_width
        if width >= SIDE_BY_SIDE:
            yield from self._columns(width)
        else:
            yield from self._stack(width)
        marks = {line.mark for line in self._lines}
        legend = [text for mark, text in _LEGEND.items() if mark in marks]
        yield Text("   ".join(legend), style="dim")

    def _columns(self, width: int) -> Iterator[Text]:
        longest = max(len(line.blocking or "") for line in self._lines)
        left_width = min((width - 3) // 2, max(longest, len("blocking")))
        heads = Text("blocking", style="bold"), Text("asyncio", style="bold")
        yield _joined(*heads, " ", left_width)
        for line in self._lines:
            left = _folded(line.blocking, line.asyncio, line.mark, left_width)
            right = _folded(
                line.asyncio, line.blocking, line.mark, width - left_width - 3
            )
            for one, other in zip_longest(left, right, fillvalue=Text()):
                changed = one.spans or other.spans
                mark = line.mark if changed else " "
                yield _joined(one.copy(), other, mark, left_width)

    def _stack(self, width: int) -> Iterator[Text]:
        yield Text("  blocking", style="bold")
        for line in self._lines:
            mark: Mark = "≠" if line.mark == "≠" else " "
            yield from _gutter(line.blocking, line.asyncio, mark, width)
        yield Text()
        yield Text("  asyncio", style="bold")
        for line in self._lines:
            yield from _gutter(line.asyncio, line.blocking, line.mark, width)


def _gutter(
    line: str | None, other: str | None, mark: Mark, width: int
) -> Iterator[Text]:
    for text in _folded(line, other, mark, width - 2):
        yield Text.assemble((f"{mark if text.spans else ' '} ", _STYLES[mark]), text)


def _joined(left: Text, right: Text, mark: Mark, width: int) -> Text:
    left.pad_right(width - left.cell_len)
    return Text.assemble(left, (f" {mark} ", _STYLES[mark]), right)


def _folded(line: str | None, other: str | None, mark: Mark, width: int) -> list[Text]:
    """Return a line in as many rows as it needs, what differs in colour."""
    if line is None:
        return []
    text = Text(line)
    for start, end in _changed(line, other) if mark != " " else ():
        text.stylize(_STYLES[mark], start, end)
    return [
        Text(" " * indent).append_text(text[start:end])
        for start, end, indent in fold(line, width)
    ]


def _changed(line: str, other: str | None) -> Iterator[tuple[int, int]]:
    """Yield the parts of a line that the other one does not have."""
    words, others = _WORDS.findall(line), _WORDS.findall(other or "")
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    for tag, i, i_end, _, _ in matcher.get_opcodes():
        if tag != "equal":
            start = len("".join(words[:i]))
            yield start, start + len("".join(words[i:i_end]))

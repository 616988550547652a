"""Read a module into units that can be compared: statements, heads, comments.

Each unit belongs to the innermost definition that holds it and knows its line.
Its text is what the parser understood, so the line breaks of a formatter are gone;
an indent tells its block, a line break before it tells a blank line.
"""

from __future__ import annotations

import ast
import copy
import io
import itertools
import tokenize
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from async_layers._mirror.spelling import Normal, imported

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

# The statements of a compound one, in the order of the source.
_PARTS = ("body", "handlers", "orelse", "finalbody", "cases")
_IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Unit:
    """A statement, the head of a compound one, or a comment.

    `opens` is the definition whose place in its parent the unit marks.
    """

    name: str
    line: int
    text: str
    opens: str = ""


class Span(NamedTuple):
    """Where a definition begins and ends."""

    name: str
    first: int
    last: int


@dataclass
class Reading:
    """A module, read into units."""

    text: str
    spans: list[Span] = field(default_factory=list[Span])
    units: list[Unit] = field(default_factory=list[Unit])

    def __post_init__(self) -> None:
        self.lines = ["", *self.text.split("\n"), ""]
        tree = Normal().visit(ast.parse(self.text))
        statements = [*self._statements(tree.body, "module")]
        # Sorting is stable: a comment comes after the statement of its line.
        self.units = sorted([*statements, *self._comments()], key=lambda one: one.line)
        self.names = {"module", "imports", *(one.name for one in self.spans)}

    def of(self, name: str, common: Collection[str]) -> list[Unit]:
        """Return the units of a definition, without places of unpaired ones."""
        return [
            one
            for one in self.units
            if one.name == name and (not one.opens or one.opens in common)
        ]

    def first_line(self, name: str) -> int:
        """Return where a definition begins; 0 for the module."""
        return next((one.first for one in self.spans if one.name == name), 0)

    def owner(self, line: int) -> str:
        """Return the innermost definition that holds a line."""
        holders = [one.name for one in self.spans if one.first <= line <= one.last]
        return holders[-1] if holders else "module"

    def _comments(self) -> Iterator[Unit]:
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                line, column = token.start
                own = not self.lines[line][:column].strip()
                text = self._spaced(line, token.string) if own else f"  {token.string}"
                yield Unit(self.owner(line), line, text)

    def _spaced(self, line: int, text: str) -> str:
        return text if self.lines[line - 1].strip() else f"\n{text}"

    def _statements(self, body: Sequence[ast.stmt], name: str) -> Iterator[Unit]:
        runs = itertools.groupby(body, lambda node: isinstance(node, _IMPORTS))
        for _, run in runs:
            nodes = list(run)
            imports = [node for node in nodes if isinstance(node, _IMPORTS)]
            # A linter sorts imports by their spelling: their order is free.
            for text in sorted({text for node in imports for text in imported(node)}):
                owner = "imports" if name == "module" else name
                yield Unit(owner, nodes[0].lineno, text)
            for node in nodes if not imports else ():
                yield from self._statement(node, name)

    def _statement(self, node: ast.stmt, name: str) -> Iterator[Unit]:
        line = _first_line(node)
        defined = _defined(node, name)
        if not defined:
            yield from self._block(node, name, self._spaced(line, ""))
            return
        self.spans.append(Span(defined, line, self._last_line(node)))
        place = self._spaced(line, f"{type(node).__name__} {defined}")
        yield Unit(name, line, place, defined)
        yield from self._block(node, defined)

    def _block(
        self,
        node: ast.stmt | ast.excepthandler | ast.match_case,
        name: str,
        space: str = "",
    ) -> Iterator[Unit]:
        parts: dict[str, list[Any]] = {
            part: nodes for part in _PARTS if (nodes := getattr(node, part, None))
        }
        # The indent tells a statement inside a block from one that follows it.
        indent = " " * getattr(node, "col_offset", 0)
        yield Unit(name, _first_line(node), space + indent + _head(node, parts))
        for part, nodes in parts.items():
            if part in {"handlers", "cases"}:
                for one in nodes:
                    yield from self._block(one, name)
                continue
            if part in {"orelse", "finalbody"}:
                yield Unit(name, _first_line(nodes[0]), f"{indent}{part}:")
            yield from self._statements(nodes, name)

    def _last_line(self, node: ast.stmt) -> int:
        """Return where a definition ends, the comments below its body included."""
        last = node.end_lineno or node.lineno
        for line, text in enumerate(self.lines[last + 1 :], last + 1):
            code = text.lstrip()
            if code.startswith("#") and len(text) - len(code) > node.col_offset:
                last = line
            elif code:
                break
        return last


def _first_line(node: ast.stmt | ast.excepthandler | ast.match_case) -> int:
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _defined(node: ast.stmt, parent: str) -> str:
    prefix = "" if parent == "module" else f"{parent}."
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return prefix + name
        case (
            ast.Assign(targets=[ast.Name(id=name)])
            | ast.AnnAssign(target=ast.Name(id=name))
        ) if not prefix:
            return name
        case _:
            return ""


def _head(node: ast.AST, parts: Iterable[str]) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return f'"""{text}"""'
        case _:
            head = copy.copy(node)
            for part in parts:
                setattr(head, part, [])
            return ast.unparse(head).strip()

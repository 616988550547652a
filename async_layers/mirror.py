"""Tell whether two files read the same, but for what asyncio changes.

A pair is `x.py`, blocking, and `x_async.py`, asyncio. The asyncio file is
respelled line by line: `async` and `await` go, and so does the spelling of
names (`AsyncEngine`, `create_async_engine`, `asynccontextmanager`). What is
left has to be the blocking file: statements, decorators, annotations,
defaults, docstrings, comments, blank lines and their order. Line breaks of a
formatter do not count.

Two mistakes leave no mark in what is left. An `await` that is missing is one:
it is reported only where the same call is awaited elsewhere in the file. A name
that lacks its `Async` is the other. Both are for the type checker, and for
tests that turn the warning "was never awaited" into an error.
"""

from __future__ import annotations

import ast
import copy
import io
import itertools
import keyword
import re
import tokenize
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "RULES",
    "Difference",
    "Pairs",
    "Problem",
    "align",
    "compare",
    "compare_files",
    "pairs",
    "respell",
]

_KEYWORDS = {
    "async": re.compile(r"\basync (?=(?:def|with|for)\b)"),
    "await": re.compile(r"\bawait (?=[\w(\[{\"'])"),
}
_AFFIXES = {
    "Async": re.compile(r"Async(?=[A-Z])"),
    "async_": re.compile(r"(?<![A-Za-z0-9])async_(?=\w)"),
    "_async": re.compile(r"(?<=\w)_async$"),
}
_WORDS = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aclosing": "closing",
    "aiter": "iter",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
}
_KEPT = frozenset({"async_layers"})
# SQLAlchemy keeps a name and its twin in different modules of these.
_HOMES = frozenset({"sqlalchemy", "sqlalchemy.orm", "sqlalchemy.ext.asyncio"})
# The statements of a compound one, in the order of the source.
_PARTS = ("body", "handlers", "orelse", "finalbody", "cases")
_IMPORTS = (ast.Import, ast.ImportFrom)
_NOTHING: Mapping[str, str] = MappingProxyType({})

RULES: tuple[str, ...] = (*_KEYWORDS, *_AFFIXES, *_WORDS)
"""The name of every rule of spelling; `respell` tells which ones it used."""


@dataclass(frozen=True)
class Difference:
    """What stands in one place of both files, where it is not the same.

    `name` is in the blocking spelling: a function or class (`Scope.close`), a
    constant, "imports", or "module" for what is left. `asyncio` is respelled.
    """

    name: str
    line: int
    async_line: int
    blocking: str
    asyncio: str

    def __str__(self) -> str:
        """Return both sides, blocking with `-`, asyncio with `+`."""
        sides = (("-", self.blocking), ("+", self.asyncio))
        shown = [f"  {mark} {row}" for mark, side in sides for row in side.split("\n")]
        place = f"{self.name} (lines {self.line} and {self.async_line}):"
        return "\n".join([place, *shown])


@dataclass(frozen=True)
class Problem:
    """What is wrong with a definition, or with what is declared about it."""

    name: str
    message: str

    def __str__(self) -> str:
        """Return the name and the message."""
        return f"{self.name}: {self.message}"


class Pairs(NamedTuple):
    """The pairs (blocking, asyncio) of a directory, and what has no twin."""

    paired: list[tuple[Path, Path]]
    unpaired: list[Path]


def pairs(directory: Path, singles: Collection[str] = ()) -> Pairs:
    """Find the pairs of Python files in a directory and below it.

    A file without a twin is unpaired, unless its name begins with `_` or
    `singles` holds its path relative to the directory (`drivers/mysql.py`).
    """
    found = Pairs([], [])
    paths = {path.relative_to(directory).as_posix() for path in directory.rglob("*.py")}
    for path in sorted(paths):
        stem = path.removesuffix(".py")
        if f"{stem}_async.py" in paths:
            found.paired.append((directory / path, directory / f"{stem}_async.py"))
        elif f"{stem.removesuffix('_async')}.py" not in paths - {path}:
            single = path in singles or path.rpartition("/")[2].startswith("_")
            found.unpaired.extend([] if single else [directory / path])
    return found


def respell(text: str) -> tuple[str, frozenset[str]]:
    """Respell asyncio code or prose as blocking, line by line.

    Returns the text and the names of the rules that were used.
    """
    used: set[str] = set()
    for rule, pattern in _KEYWORDS.items():
        text, count = pattern.subn("", text)
        used.update([rule] * count)

    def respelled(match: re.Match[str]) -> str:
        word, rules = _respell_word(match[0])
        used.update(rules)
        return word

    return re.sub(r"\b[A-Za-z_]\w*", respelled, text), frozenset(used)


def _respell_word(word: str) -> tuple[str, set[str]]:
    if word in _WORDS:
        return _WORDS[word], {word}
    respelled, used = word, set[str]()
    for rule, pattern in _AFFIXES.items():
        respelled, count = pattern.subn("", respelled)
        used.update([rule] * count)
    # `is_async`, an attribute of SQLAlchemy's dialects, is not a spelling of `is`.
    if word in _KEPT or keyword.iskeyword(respelled) or not respelled.isidentifier():
        return word, set()
    return respelled, used


def compare_files(
    blocking: Path, asyncio: Path, differ: Mapping[str, str] = _NOTHING
) -> list[Difference | Problem]:
    """Compare the two files of a pair; see `compare`."""
    left, right = (one.read_text(encoding="utf-8") for one in (blocking, asyncio))
    return compare(left, right, differ)


def compare(
    blocking: str, asyncio: str, differ: Mapping[str, str] = _NOTHING
) -> list[Difference | Problem]:
    """Compare the sources of two modules; return what is not declared in `differ`.

    `differ` maps names, as `Difference` has them, to the reason why they differ.
    A name covers what is defined inside it. A declaration that has no reason,
    whose name is in neither module, or that no longer differs, is a problem.
    Raises SyntaxError for a source that does not parse.
    """
    left, right = _Reading(blocking), _Reading(respell(asyncio)[0])
    found: list[Difference | Problem] = [
        *_alone(left, right, "asyncio"),
        *_alone(right, left, "blocking"),
        *_differences(left, right),
        *_forgotten(asyncio, right),
    ]
    undeclared = [one for one in found if not any(_within(one.name, d) for d in differ)]
    wrong = itertools.starmap(Problem, _wrong(differ, left.names | right.names, found))
    return [*undeclared, *wrong]


def _within(name: str, declared: str) -> bool:
    return name == declared or name.startswith(f"{declared}.")


def _wrong(
    differ: Mapping[str, str],
    names: Collection[str],
    found: Iterable[Difference | Problem],
) -> Iterator[tuple[str, str]]:
    differing = [one.name for one in found]
    for name, reason in differ.items():
        if not reason.strip():
            yield name, "is declared without a reason; say what asyncio changes here."
        if name not in names:
            yield name, "is declared, yet in neither file; remove the declaration."
        elif not any(_within(one, name) for one in differing):
            yield name, "is declared, yet the same; remove the declaration."


def _alone(here: _Reading, there: _Reading, missing: str) -> Iterator[Problem]:
    for name in sorted(here.names - there.names):
        if name.rpartition(".")[0] in there.names | {""}:
            yield Problem(
                name,
                f"is missing in the {missing} file; "
                f"write its twin, or declare why there is none.",
            )


def _differences(left: _Reading, right: _Reading) -> Iterator[Difference]:
    common = left.names & right.names
    for name in sorted(common, key=left.first_line):
        ours, theirs = left.of(name, common), right.of(name, common)
        texts = [one.text for one in ours], [one.text for one in theirs]
        for tag, i, i_end, j, j_end in _opcodes(*texts):
            if tag != "equal":
                yield Difference(
                    name,
                    ours[min(i, len(ours) - 1)].line if ours else 0,
                    theirs[min(j, len(theirs) - 1)].line if theirs else 0,
                    "\n".join(texts[0][i:i_end]),
                    "\n".join(texts[1][j:j_end]),
                )


def _opcodes(
    left: Sequence[str], right: Sequence[str]
) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, left, right, autojunk=False).get_opcodes()


def _forgotten(asyncio: str, reading: _Reading) -> Iterator[Problem]:
    nodes = list(ast.walk(ast.parse(asyncio)))
    calls = [one.value for one in nodes if isinstance(one, ast.Await)]
    awaited = {ast.unparse(one.func) for one in calls if isinstance(one, ast.Call)}
    for node in nodes:
        if not isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign):
            continue
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in awaited:
            yield Problem(
                reading.owner(node.lineno),
                f"does not await {ast.unparse(node.value)!r} (line {node.lineno}); "
                f"the file awaits this call elsewhere: await it, or declare why not.",
            )


@dataclass(frozen=True)
class _Unit:
    """A statement, the head of a compound one, or a comment.

    `opens` is the definition whose place in its parent the unit marks.
    """

    name: str
    line: int
    text: str
    opens: str = ""


class _Span(NamedTuple):
    name: str
    first: int
    last: int


@dataclass
class _Reading:
    """A module, read into units."""

    text: str
    spans: list[_Span] = field(default_factory=list[_Span])
    units: list[_Unit] = field(default_factory=list[_Unit])

    def __post_init__(self) -> None:
        self.lines = ["", *self.text.split("\n"), ""]
        tree = _Normal().visit(ast.parse(self.text))
        statements = [*self._statements(tree.body, "module")]
        # Sorting is stable: a comment comes after the statement of its line.
        self.units = sorted([*statements, *self._comments()], key=lambda one: one.line)
        self.names = {"module", "imports", *(one.name for one in self.spans)}

    def of(self, name: str, common: Collection[str]) -> list[_Unit]:
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

    def _comments(self) -> Iterator[_Unit]:
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                line, column = token.start
                own = not self.lines[line][:column].strip()
                text = self._spaced(line, token.string) if own else f"  {token.string}"
                yield _Unit(self.owner(line), line, text)

    def _spaced(self, line: int, text: str) -> str:
        return text if self.lines[line - 1].strip() else f"\n{text}"

    def _statements(self, body: Sequence[ast.stmt], name: str) -> Iterator[_Unit]:
        runs = itertools.groupby(body, lambda node: isinstance(node, _IMPORTS))
        for _, run in runs:
            nodes = list(run)
            imports = [node for node in nodes if isinstance(node, _IMPORTS)]
            # A linter sorts imports by their spelling: their order is free.
            for text in sorted({text for node in imports for text in _imported(node)}):
                owner = "imports" if name == "module" else name
                yield _Unit(owner, nodes[0].lineno, text)
            for node in nodes if not imports else ():
                yield from self._statement(node, name)

    def _statement(self, node: ast.stmt, name: str) -> Iterator[_Unit]:
        line = _first_line(node)
        defined = _defined(node, name)
        if not defined:
            yield from self._block(node, name, self._spaced(line, ""))
            return
        self.spans.append(_Span(defined, line, self._last_line(node)))
        place = self._spaced(line, f"{type(node).__name__} {defined}")
        yield _Unit(name, line, place, defined)
        yield from self._block(node, defined)

    def _block(
        self,
        node: ast.stmt | ast.excepthandler | ast.match_case,
        name: str,
        space: str = "",
    ) -> Iterator[_Unit]:
        parts: dict[str, list[Any]] = {
            part: nodes for part in _PARTS if (nodes := getattr(node, part, None))
        }
        # The indent tells a statement inside a block from one that follows it.
        indent = " " * getattr(node, "col_offset", 0)
        yield _Unit(name, _first_line(node), space + indent + _head(node, parts))
        for part, nodes in parts.items():
            if part in {"handlers", "cases"}:
                for one in nodes:
                    yield from self._block(one, name)
                continue
            if part in {"orelse", "finalbody"}:
                yield _Unit(name, _first_line(nodes[0]), f"{indent}{part}:")
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


class _Normal(ast.NodeTransformer):
    """Write alike what has to be written in two ways."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Drop what `Generator` has and `AsyncGenerator` has not: a return type."""
        self.generic_visit(node)
        if ast.unparse(node.value).endswith("Generator"):
            items = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
            while len(items) > 1 and ast.unparse(items[-1]) == "None":
                items.pop()
            node.slice = items[0] if len(items) == 1 else node.slice
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Let a name of SQLAlchemy be at home in any of its modules."""
        if ast.unparse(node.value) in _HOMES:
            node.value = ast.Name("sqlalchemy")
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Sort `__all__` anew; a linter sorts it by its spelling."""
        if ast.unparse(node.targets[0]) == "__all__" and isinstance(
            node.value, ast.List | ast.Tuple
        ):
            node.value.elts.sort(key=ast.unparse)
        return self.generic_visit(node)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    names = [ast.unparse(name) for name in node.names]
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        home = "sqlalchemy" if module in _HOMES else module
        yield from (f"from {home} import {name}" for name in names)
    else:
        homes = ("sqlalchemy" if name in _HOMES else name for name in names)
        yield from (f"import {name}" for name in homes)


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


def align(blocking: str, asyncio: str) -> list[tuple[str | None, str | None, bool]]:
    """Return the rows of a side-by-side view: blocking, asyncio, do they differ.

    A line that has no counterpart stands beside None. Lines that a formatter
    breaks in other places stand side by side and do not differ. Brackets are
    forgiven, since a formatter and `(await x).y` add them: the judge is `compare`.
    Imports that are sorted or split in other ways are shown as differing.
    Raises SyntaxError or tokenize.TokenError for a source that is not Python.
    """
    lefts, rights = _logical_lines(blocking), _logical_lines(asyncio)
    keys = [_squeezed(one) for one in lefts]
    twins = [_squeezed(respell(one)[0]) for one in rights]
    rows: list[tuple[str | None, str | None, bool]] = []
    for tag, i, i_end, j, j_end in _opcodes(keys, twins):
        for left, right in itertools.zip_longest(lefts[i:i_end], rights[j:j_end]):
            rows += _rows(left, right, same=tag == "equal")
    return rows


def _rows(
    left: str | None, right: str | None, *, same: bool
) -> Iterator[tuple[str | None, str | None, bool]]:
    ours, theirs = ([] if one is None else one.split("\n") for one in (left, right))
    for our, their in itertools.zip_longest(ours, theirs):
        alike = same or (
            None not in (our, their) and _squeezed(our) == _squeezed(respell(their)[0])
        )
        yield our, their, not alike


def _squeezed(line: str) -> str:
    at_home = re.sub(r"\bsqlalchemy\.(?:orm|ext\.asyncio)\b", "sqlalchemy", line)
    squeezed = re.sub(r"[\s()]|,(?=\s*[)\]}])", "", at_home)
    return re.sub(r"(Generator\[.*?)(?:,None)+\]", r"\1]", squeezed)


def _logical_lines(text: str) -> list[str]:
    """Split into statements, comments and blank lines, each with its line breaks."""
    lines, logical = text.split("\n"), list[str]()
    first, inside = 0, False
    layout = {tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.NL}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NEWLINE or (token.type == tokenize.NL and not inside):
            logical.append("\n".join(lines[first : token.end[0]]))
            first, inside = token.end[0], False
        elif token.type not in layout:
            inside = True
    return logical

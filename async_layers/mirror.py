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
import itertools
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from async_layers._mirror.align import align
from async_layers._mirror.reading import Reading
from async_layers._mirror.spelling import RULES, respell

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
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

_NOTHING: Mapping[str, str] = MappingProxyType({})


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

    A file without a twin is unpaired, unless its name, or its folder's, begins
    with `_`, or `singles` holds its path relative to the directory.
    """
    found = Pairs([], [])
    paths = {path.relative_to(directory).as_posix() for path in directory.rglob("*.py")}
    for path in sorted(paths):
        stem = path.removesuffix(".py")
        if f"{stem}_async.py" in paths:
            found.paired.append((directory / path, directory / f"{stem}_async.py"))
        elif f"{stem.removesuffix('_async')}.py" not in paths - {path}:
            single = path in singles or path.startswith("_") or "/_" in path
            found.unpaired.extend([] if single else [directory / path])
    return found


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
    A name covers what is defined inside it, and `Scope:` what stands in the class
    itself: its bases, its docstring, its attributes. A declaration that has no reason,
    whose name is in neither module, or that no longer differs, is a problem.
    Raises SyntaxError for a source that does not parse.
    """
    left, right = Reading(blocking), Reading(respell(asyncio)[0])
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
    if declared.endswith(":"):
        return f"{name}:" == declared
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
        if name.removesuffix(":") not in names:
            yield name, "is declared, yet in neither file; remove the declaration."
        elif not any(_within(one, name) for one in differing):
            yield name, "is declared, yet the same; remove the declaration."


def _alone(here: Reading, there: Reading, missing: str) -> Iterator[Problem]:
    for name in sorted(here.names - there.names):
        if name.rpartition(".")[0] in there.names | {""}:
            yield Problem(
                name,
                f"is missing in the {missing} file; "
                f"write its twin, or declare why there is none.",
            )


def _differences(left: Reading, right: Reading) -> Iterator[Difference]:
    common = left.names & right.names
    for name in sorted(common, key=left.first_line):
        ours, theirs = left.of(name, common), right.of(name, common)
        texts = [one.text for one in ours], [one.text for one in theirs]
        for tag, i, i_end, j, j_end in SequenceMatcher(
            None, *texts, autojunk=False
        ).get_opcodes():
            if tag != "equal":
                yield Difference(
                    name,
                    ours[min(i, len(ours) - 1)].line if ours else 0,
                    theirs[min(j, len(theirs) - 1)].line if theirs else 0,
                    "\n".join(texts[0][i:i_end]),
                    "\n".join(texts[1][j:j_end]),
                )


def _forgotten(asyncio: str, reading: Reading) -> Iterator[Problem]:
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

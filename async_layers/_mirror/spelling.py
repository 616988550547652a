"""Undo what asyncio changes in spelling alone: in a text, and in its tree.

Two kinds of spelling go. The names of asyncio are respelled in the text, word by
word, so that docstrings and comments are covered. What both worlds have to write
in two ways is written alike in the tree: the home of a name, the types of a
generator, the order of names.
"""

from __future__ import annotations

import ast
import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "asynccontextmanager": "contextmanager",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
}
_KEPT = frozenset({"async_layers"})
# SQLAlchemy keeps a name and its twin in different modules of these.
_HOMES = frozenset({"sqlalchemy", "sqlalchemy.orm", "sqlalchemy.ext.asyncio"})

RULES: tuple[str, ...] = (*_KEYWORDS, *_AFFIXES, *_WORDS)
"""The name of every rule of spelling; `respell` tells which ones it used."""


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


class Normal(ast.NodeTransformer):
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


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Return one line for each name, from SQLAlchemy's common home."""
    names = [ast.unparse(name) for name in node.names]
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        home = "sqlalchemy" if module in _HOMES else module
        yield from (f"from {home} import {name}" for name in names)
    else:
        homes = ("sqlalchemy" if name in _HOMES else name for name in names)
        yield from (f"import {name}" for name in homes)

"""What a text of SQL is, as far as its words tell: statements and parameters.

PostgreSQL's own lexical rules
(https://www.postgresql.org/docs/current/sql-syntax-lexical.html), so that nothing
is taken from within a string, a comment or a name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\n\r\f\v]++ | --[^\n\r]*+)
    | (?P<comment>/\*)
    | [eE]'(?:[^'\\]|''|\\.)*+(?:'|\Z)
        # It may go on in another line.
        (?:(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*+[\n\r])*+
        '(?:[^'\\]|''|\\.)*+(?:'|\Z))*+
    | '(?:[^']|'')*+(?:'|\Z)
    | "(?:[^"]|"")*+(?:"|\Z)
    | \$\$.*?(?:\$\$|\Z)
    | \$(?P<tag>[a-zA-Z_\x80-\U0010ffff][\w\x80-\U0010ffff]*+)\$
        .*?(?:\$(?P=tag)\$|\Z)
    | \$(?P<number>[0-9]++)(?P<typed>[ \t\n\r\f\v]*+::)?
    | (?P<word>[a-zA-Z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*+)
    | (?P<mark>[();])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_BLANK = re.compile(r"(?>[ \t\n\r\f\v;]|--[^\n\r]*+)*+")
_WORD = re.compile(r"\(|[a-zA-Z]+|")
_UNTYPED = re.compile(r"\$[0-9]++(?!\s*::)")
_WORDS = 4  # ROLLBACK TRANSACTION TO SAVEPOINT is the longest that matters

_ENDS = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "ABORT"})
_REFUSED = _ENDS | {"START", "PREPARE", "COPY"}
_STREAMED = re.compile(r"\b(?:FROM\s+STDIN|TO\s+STDOUT)\b", re.IGNORECASE)


class Parameter(NamedTuple):
    """Where a text has `$number`, and whether a cast follows."""

    number: int
    start: int
    end: int
    typed: bool


class Shape(NamedTuple):
    """The first words of each statement of a text, and all its parameters."""

    heads: tuple[tuple[str, ...], ...]
    parameters: tuple[Parameter, ...]

    @property
    def untyped(self) -> tuple[int, ...]:
        """The numbers of the parameters that stand without a cast somewhere."""
        numbers = (each.number for each in self.parameters if not each.typed)
        return tuple(dict.fromkeys(numbers))

    @property
    def control(self) -> str:
        """The words of the first statement that begins or ends a transaction."""
        return next((" ".join(head[:2]) for head in self.heads if _controls(head)), "")


class _Reader:
    """Reads a text from its first token to its last."""

    def __init__(self, text: str) -> None:
        self.heads = list[tuple[str, ...]]()
        self.parameters = list[Parameter]()
        self._words = list[str]()
        self._text = text
        self._depth = 0
        self._begun = False
        self._last = ""
        self._due = 0  # how many ENDs, in the body of a function

    def read(self) -> Shape:
        """Read it all."""
        position = 0
        while token := _TOKEN.match(self._text, position):
            position = token.end()
            if token.lastgroup == "comment":
                position = _end_of_comment(self._text, position)
            elif token.lastgroup == "mark":
                self._mark(token["mark"])
            elif token.lastgroup != "blank":
                self._begun = True
                self._take(token)
        self._end()
        return Shape(tuple(self.heads), tuple(self.parameters))

    def _take(self, token: re.Match[str]) -> None:
        if token["number"]:
            number, end = int(token["number"]), token.end("number")
            typed = token["typed"] is not None
            self.parameters.append(Parameter(number, token.start(), end, typed))
        elif token["word"]:
            word = token["word"].upper()
            if self._depth == 0 and len(self._words) < _WORDS:
                self._words.append(word)
            self._follow(word)
        else:
            self._last = token[0]

    def _follow(self, word: str) -> None:
        """Follow the body of a function in SQL, which has statements of its own."""
        if self._last in {"AS", "."}:  # a column may be named END
            word = ""
        elif self._due:
            self._due += {"CASE": 1, "END": -1}.get(word, 0)
        elif word == "ATOMIC" and self._last == "BEGIN":
            self._due = int(self._words[:1] == ["CREATE"])
        self._last = word

    def _mark(self, mark: str) -> None:
        self._last = mark
        if mark != ";":
            self._begun = True
            self._depth += 1 if mark == "(" else -1
        elif self._depth <= 0 and not self._due:
            self._end()

    def _end(self) -> None:
        if self._begun:
            self.heads.append(tuple(self._words))
        self._words, self._begun = [], False


@lru_cache(64)
def shape_of(text: str) -> Shape:
    """Read a text."""
    return _Reader(text).read()


@lru_cache(512)
def is_plain(text: str) -> bool:
    """Say whether a text is one statement that leaves the transaction alone."""
    if ";" not in text and first_word(text) not in _REFUSED:
        return True  # without a look at the whole of it, which may be long
    shape = shape_of(text)
    return len(shape.heads) <= 1 and not shape.control and not copies(text)


def copies(text: str) -> bool:
    """Say whether a statement of a text is a COPY from or to the client."""
    if not _STREAMED.search(text):
        return False
    return any(head[:1] == ("COPY",) for head in shape_of(text).heads)


@lru_cache(512)
def first_word(text: str) -> str:
    """Return the first word of a text, in capitals: SELECT; `(` where it is one."""
    position = _end(_BLANK, text, 0)
    while text.startswith("/*", position):
        position = _end(_BLANK, text, _end_of_comment(text, position + 2))
    return text[position : _end(_WORD, text, position)].upper()


@lru_cache(512)
def untyped(text: str) -> tuple[int, ...]:
    """Return the numbers of parameters without a cast; quickly, if there is none."""
    return shape_of(text).untyped if _UNTYPED.search(text) else ()


def cast(text: str, types: Mapping[int, str]) -> str:
    """Return a text with its parameters cast: `$1` becomes `($1::float8)`."""
    parts, position = list[str](), 0
    for number, start, end, _ in shape_of(text).parameters:
        if number in types:
            parts += [text[position:start], f"(${number}::{types[number]})"]
            position = end
    return "".join([*parts, text[position:]])


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Return where the match ends of a pattern that matches everywhere."""
    found = pattern.match(text, position)
    return found.end() if found else position


def _controls(head: tuple[str, ...]) -> bool:
    first, second = [*head[:2], "", ""][:2]
    if first == "ROLLBACK":
        return "TO" not in head[1:3]
    return first in _ENDS or (first, second) in {
        ("START", "TRANSACTION"),
        ("PREPARE", "TRANSACTION"),
    }


def _end_of_comment(text: str, position: int) -> int:
    """Return where a comment ends, whose comments may have comments."""
    depth = 1
    for mark in _COMMENT.finditer(text, position):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)

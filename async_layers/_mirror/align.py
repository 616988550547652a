"""Lay two files side by side, so that a reader sees what asyncio changes."""

from __future__ import annotations

import io
import itertools
import re
import tokenize
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from async_layers._mirror.spelling import respell

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    matcher = SequenceMatcher(None, keys, twins, autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
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

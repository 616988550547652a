"""Which line of a program it is that has SQLAlchemy at work."""

from __future__ import annotations

import contextlib
from asyncio import base_events, events, runners
from pathlib import Path
from sys import _getframe
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy
from greenlet import getcurrent  # type: ignore[import-untyped] # has no stubs

if TYPE_CHECKING:
    from types import CodeType, FrameType

_SQLALCHEMY = f"{Path(sqlalchemy.__file__).parent}/"
_LAYERS = f"{Path(__file__).parents[2]}/"
_LIBRARY = f"{Path(contextlib.__file__).parent}/"
# What carries a program's call to the pool: none of its lines is the program's. The
# first that fits says so; facts are programs, and so is what is installed.
_CARRIERS = (
    (f"{_LAYERS}patterns/", False),
    (_LAYERS, True),
    (_SQLALCHEMY, True),
    ("<sqlalchemy generated", True),
    (f"{_LIBRARY}site-packages/", False),
    (_LIBRARY, True),
    ("<frozen ", True),
)
# Below a loop is whoever started it, and not what a task does.
_LOOPS = frozenset({events.__file__, base_events.__file__, runners.__file__})
# Files that have been seen: that they are in a set is told sooner than their prefix.
_CARRYING = set[str]()
_CALLING = set[str]()
# A notebook's cells are files, too: they are not collected for ever.
_MANY = 1000


class Place(NamedTuple):
    """A line of a program, found when somebody asks for it: frames are not kept."""

    code: CodeType
    instruction: int

    @classmethod
    def of(cls, frame: FrameType) -> Place:
        """Return the line at which a frame is."""
        return cls(frame.f_code, frame.f_lasti)

    @property
    def line(self) -> int:
        """Return the number of the line."""
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end and line is not None:
                return line
        return self.code.co_firstlineno

    def __str__(self) -> str:
        code = self.code
        return f"{code.co_filename}:{self.line} in {code.co_qualname}"


def outside(frame: FrameType | None) -> FrameType | None:
    """Return the first frame of the program, from the innermost on, if there is one."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file not in _CARRYING:
            if file in _CALLING:
                return frame
            if file in _LOOPS:
                return None
            if not is_carrier(file):
                return frame
        frame = frame.f_back
    return None


def is_carrier(file: str) -> bool:
    """Say whether a file carries a program's call, and remember it."""
    carries = next(
        (is_one for path, is_one in _CARRIERS if file.startswith(path)), False
    )
    seen = _CARRYING if carries else _CALLING
    if len(seen) > _MANY:
        seen.clear()
    seen.add(file)
    return carries


class _Last:
    """How deep the program was below SQLAlchemy's last call, and what it called.

    Where it entered a context manager it called contextlib, which called what is third.
    """

    path: tuple[int, CodeType | None, CodeType | None] = 1, None, None


_LAST = _Last()


def caller() -> FrameType | None:
    """Return the frame of the program below the caller.

    To look at frames is most of what a note costs. SQLAlchemy calls itself in the same
    way each time: where the program lies as deep below the same function as before,
    nothing in between is looked at.
    """
    depth, called, entered = _LAST.path
    try:
        frame = _getframe(depth)
        if (
            frame.f_code.co_filename in _CALLING
            and _getframe(depth - 1).f_code is called
            and (entered is None or _getframe(depth - 2).f_code is entered)
        ):
            return frame
    except ValueError:  # the stack is not so deep
        pass
    found = outside(_getframe(1))
    if found is not None:
        _remember(found)
    return found


def _remember(found: FrameType) -> None:
    depth, frame, inner = 1, _getframe(2), _getframe(1)
    while frame.f_back is not None and frame.f_back is not found:
        depth, frame, inner = depth + 1, frame.f_back, frame
    code, entered = frame.f_code, inner.f_code
    # A context manager of the program looks as one of SQLAlchemy does, but within.
    if _is_known(code):
        _LAST.path = depth + 1, code, None
    elif code.co_filename == contextlib.__file__ and _is_known(entered):
        _LAST.path = depth + 1, code, entered


def _is_known(code: CodeType) -> bool:
    return code.co_filename.startswith((_SQLALCHEMY, _LAYERS))


def caller_of_greenlet() -> FrameType | None:
    """Return the frame of the program under asyncio, where a greenlet does the work.

    The frames of a greenlet end with its first, and go on in the one that waits for
    it. None of them is the program's but in `run_sync()`.
    """
    parent = getcurrent().parent
    frame: FrameType | None = None if parent is None else parent.gr_frame
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        if file not in _CARRYING:
            if file in _LOOPS:
                break
            if file in _CALLING or not is_carrier(file):
                return frame
        elif code.co_name == "run_sync":
            break
        frame = frame.f_back
    return outside(_getframe(1))


def edge(frame: FrameType) -> FrameType:
    """Return the outermost frame of SQLAlchemy's, where none is the program's.

    It is the first of a task or thread that does nothing else.
    """
    parent = getcurrent().parent
    outer: FrameType | None = None if parent is None else parent.gr_frame
    found = outer = outer or frame
    while outer is not None and outer.f_code.co_filename not in _LOOPS:
        if outer.f_code.co_filename.startswith(_SQLALCHEMY):
            found = outer
        outer = outer.f_back
    return found

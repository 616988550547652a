"""What comes from the server beside the results that asyncpg hands out.

asyncpg keeps the tag of the last statement of an executemany, and forgets an error
that arrives while it waits for nothing: that a backend was ended, and why. Both are
read here from the messages as they pass
(https://www.postgresql.org/docs/current/protocol-message-formats.html).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ERROR, _COMPLETE = b"E"[0], b"C"[0]
_HEAD = 5  # the type, and the length of all but the type
_LONGEST = 2048  # of an error that ends a connection

# How both infinities begin, of dates and of timestamps, in binary.
_LATEST, _EARLIEST = b"\x7f\xff\xff\xff", b"\x80\0\0\0"
_LENGTHS = frozenset({b"\0\0\0\4", b"\0\0\0\x08"})  # what stands before either
_WIDTH = 4


class Wire(asyncio.Protocol):
    """Stand between a transport and asyncpg's protocol, and listen."""

    __slots__ = (
        "_heard",
        "_last",
        "_reader",
        "connection_lost",
        "pause_writing",
        "resume_writing",
    )  # fmt: skip

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._heard = protocol.data_received
        self._reader: Counter | Looker | None = None
        self._last = b""
        # Without a call of ours between them.
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    @classmethod
    def between(cls, connection: Any) -> Wire:
        """Place a listener between a connection of asyncpg and its transport."""
        wire = cls(connection._protocol)  # noqa: SLF001 - no public name
        connection._transport.set_protocol(wire)  # noqa: SLF001 - no public name
        return wire

    def data_received(self, data: bytes) -> None:
        """Pass on what came; keep it if it may be the last, or let it be read."""
        if self._reader is not None:
            self._reader.feed(data)
        elif len(data) < _LONGEST:
            self._last = data
        self._heard(data)

    def count(self) -> Counter:
        """Begin to count the rows of an executemany."""
        self._reader = counter = Counter()
        return counter

    def look(self) -> Looker:
        """Begin to look for infinite dates and times."""
        self._reader = looker = Looker()
        return looker

    def done(self) -> None:
        """Stop counting, or looking."""
        self._reader = None

    def last_words(self) -> dict[str, str]:
        """Return the fields of the error that the server ended the connection with."""
        fields = dict[str, str]()
        for kind, message in _messages(self._last):
            if kind == _ERROR:
                fields = _fields(message)
        return fields if fields.get("V", fields.get("S")) in {"FATAL", "PANIC"} else {}


class Looker:
    """Look whether an infinite date or time may be among what comes.

    What looks like one may be a part of another value. That none does is sure, and
    is known much sooner than by a look at each value.
    """

    __slots__ = ("_tail", "found")

    def __init__(self) -> None:
        self.found = False
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take what came, which may begin and end within a value."""
        if not self.found:
            seam = self._tail + data[: _WIDTH - 1]
            self.found = _may_be_infinite(data) or _may_be_infinite(seam)
            self._tail = (seam if len(data) < _WIDTH else data)[1 - 2 * _WIDTH :]


def _may_be_infinite(data: bytes) -> bool:
    # These bytes are found twice as fast from the right.
    if data.rfind(_LATEST) >= 0:
        return True
    # A number that ends in 128, and a length after it, look like the earliest.
    found = data.rfind(_EARLIEST)
    while found >= _WIDTH and data[found - _WIDTH : found] not in _LENGTHS:
        found = data.rfind(_EARLIEST, 0, found + _WIDTH - 1)
    return found >= 0


class Counter:
    """Count the rows that each statement of an executemany says it has changed."""

    __slots__ = ("_rest", "_unit", "_unit_rows", "rows", "statements")

    _rest: bytes
    _unit: bytes

    def __init__(self) -> None:
        self.rows = 0
        self.statements = 0
        self._rest = b""
        self._unit = b""
        self._unit_rows = 0

    def feed(self, data: bytes) -> None:
        """Take what came, which may begin and end within a message."""
        data = self._rest + data
        position = begin = self._skip(data, 0)
        skipped = False
        while (end := _end(data, position)) is not None:
            if data[position] == _COMPLETE:
                rows = _rows(data[position + _HEAD : end - 1])
                self.rows += rows
                self.statements += 1
                self._unit, self._unit_rows = data[begin:end], rows
                begin = end
                if not skipped:
                    skipped, begin = True, self._skip(data, end)
                    end = begin
            position = end
        self._rest = data[position:]

    def _skip(self, data: bytes, position: int) -> int:
        """Count the answers that are the same as the last, as nearly always all are."""
        if self._unit:
            many = (len(data) - position) // len(self._unit)
            end = position + many * len(self._unit)
            if data[position:end] == self._unit * many:
                self.rows += many * self._unit_rows
                self.statements += many
                return end
        return position


def _end(data: bytes, position: int) -> int | None:
    """Return where a message ends; None where it is not whole."""
    if len(data) < position + _HEAD:
        return None
    end = position + 1 + int.from_bytes(data[position + 1 : position + _HEAD], "big")
    return end if end <= len(data) else None


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while (end := _end(data, position)) is not None:
        yield data[position], data[position + _HEAD : end]
        position = end


def _rows(tag: bytes) -> int:
    number = tag.rpartition(b" ")[2]
    return int(number) if number.isdigit() else 0


def _fields(message: bytes) -> dict[str, str]:
    """Return the fields of an ErrorResponse by their letters."""
    fields = (part.decode("utf-8", "replace") for part in message.split(b"\0") if part)
    return {field[0]: field[1:] for field in fields}

"""Read PostgreSQL's protocol as it passes by: what is sent, and what is waited for.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CANCEL, SSL, GSS = 80877102, 80877103, 80877104
REFUSED = b"N"

SENT = {
    b"B": "Bind",
    b"C": "Close",
    b"c": "CopyDone",
    b"d": "CopyData",
    b"D": "Describe",
    b"E": "Execute",
    b"f": "CopyFail",
    b"F": "FunctionCall",
    b"H": "Flush",
    b"p": "Password",
    b"P": "Parse",
    b"Q": "Query",
    b"S": "Sync",
    b"X": "Terminate",
}
_READY, _AUTHENTICATION, _COPY_IN = b"Z", b"R", b"G"
_AUTHENTICATED = (0, 12)  # Ok, and SASLFinal, which nothing answers


@dataclass
class Traffic:
    """What passed between clients and the server while somebody counted.

    `round_trips`: how often a client asked and waited. What is asked before the
    last answer has come (a pipeline, the rows of a COPY) belongs to the same trip.
    `messages`: the types of what clients sent, in order: "Parse", "Query", ...
    `prepared`: the texts of each Parse.
    `statements`: what the server ran, in order: the text of each Query, and of each
    prepared statement, once for each Bind.
    `sent`, `received`: bytes, as a client sees them.
    """

    round_trips: int = 0
    messages: list[str] = field(default_factory=list[str])
    prepared: list[str] = field(default_factory=list[str])
    statements: list[str] = field(default_factory=list[str])
    sent: int = 0
    received: int = 0

    def counts(self) -> dict[str, int]:
        """Return how many messages of each type clients sent."""
        return dict(Counter(self.messages))

    def runs(self) -> list[tuple[str, int]]:
        """Return the statements with how often each ran in a row."""
        folded: list[tuple[str, int]] = []
        for statement in self.statements:
            before, times = folded[-1] if folded else ("", 0)
            if statement == before:
                folded[-1] = (statement, times + 1)
            else:
                folded.append((statement, 1))
        return folded


class Reader:
    """Read one connection in both directions, and tell all who count."""

    def __init__(self, counting: Sequence[Traffic]) -> None:
        """Begin before the startup packet."""
        self._counting = counting
        self._asked, self._answered = bytearray(), bytearray()
        self._started = False
        self._names: dict[bytes, str] = {}
        self._waiting = 0  # asked, and not answered by a ReadyForQuery
        self._flushed = False  # asked, and answered by whatever comes first
        self._copies = False  # the server waits for rows, and takes no other question

    def client(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what goes on to the server, and what the client is answered at once.

        Encryption is refused without asking the server: it could not be read.
        """
        for traffic in self._counting:
            traffic.sent += len(data)
        self._asked += data
        if self._started:
            self._read_asked()
            return data, b""
        onward = reply = b""
        while not self._started and (packet := self._packet()):
            code = int.from_bytes(packet[4:8], "big")
            if code in {SSL, GSS}:
                reply += REFUSED
                self._note("SSLRequest" if code == SSL else "GSSENCRequest")
                self._trip()
                continue
            onward += packet
            self._started = True
            self._note("CancelRequest" if code == CANCEL else "Startup")
            self._ask()
        if self._started:
            onward += bytes(self._asked)
            self._read_asked()
        return onward, reply

    def server(self, data: bytes) -> None:
        """Read what the server answers."""
        for traffic in self._counting:
            traffic.received += len(data)
        self._flushed = False
        self._answered += data
        for kind, body in _messages(self._answered):
            if kind == _READY:
                self._waiting = max(0, self._waiting - 1)
                self._copies = False
            elif kind == _AUTHENTICATION:
                if int.from_bytes(body[:4], "big") not in _AUTHENTICATED:
                    self._waiting = 0
            elif kind == _COPY_IN:
                self._copies = True

    def _packet(self) -> bytes:
        """Return the first packet, which has no type, once all of it is there."""
        length = int.from_bytes(self._asked[:4], "big")
        if len(self._asked) < max(length, 8):
            return b""
        packet = bytes(self._asked[:length])
        del self._asked[:length]
        return packet

    def _read_asked(self) -> None:
        for kind, body in _messages(self._asked):
            self._note(SENT.get(kind, repr(kind)))
            if kind == b"P":
                name, text = bytes(body).split(b"\0")[:2]
                self._names[name] = text.decode()
                for traffic in self._counting:
                    traffic.prepared.append(text.decode())
            elif kind == b"B":
                _, name = bytes(body).split(b"\0", 2)[:2]
                self._run(self._names.get(name, f"<unknown: {name.decode()}>"))
            elif kind == b"Q":
                self._run(bytes(body[:-1]).decode())
            self._consider(kind)

    def _consider(self, kind: bytes) -> None:
        """Count a round trip if the client now waits, and did not before."""
        if kind in {b"Q", b"S", b"p", b"F"} and not self._copies:
            self._ask()
        elif kind == b"H" and not (self._waiting or self._flushed):
            self._flushed = True
            self._trip()

    def _ask(self) -> None:
        if not (self._waiting or self._flushed):
            self._trip()
        self._waiting += 1

    def _trip(self) -> None:
        for traffic in self._counting:
            traffic.round_trips += 1

    def _note(self, message: str) -> None:
        for traffic in self._counting:
            traffic.messages.append(message)

    def _run(self, statement: str) -> None:
        for traffic in self._counting:
            traffic.statements.append(statement)


class Unread:
    """Pass on another protocol, of which nothing is counted."""

    def client(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what goes on to the server: all."""
        return data, b""

    def server(self, data: bytes) -> None:
        """Let pass what the server answers."""


def _messages(buffer: bytearray) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the type and the body of each whole message; keep what is left."""
    begin, end = 0, len(buffer)
    with memoryview(bytes(buffer)) as view:
        while end - begin >= 5:
            length = int.from_bytes(view[begin + 1 : begin + 5], "big") + 1
            if begin + length > end:
                break
            yield bytes(view[begin : begin + 1]), view[begin + 5 : begin + length]
            begin += length
    del buffer[:begin]

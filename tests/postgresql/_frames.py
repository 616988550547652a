"""Where the messages of a connection begin and end, as its bytes pass by.

Sources: https://www.postgresql.org/docs/current/protocol-message-formats.html,
https://mariadb.com/docs/server/reference/clientserver-protocol/0-packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.postgresql._traffic import GSS, SSL

if TYPE_CHECKING:
    from collections.abc import Iterator


class Piece(NamedTuple):
    """Some bytes of one message: whether they begin it, and whether they end it."""

    data: bytes
    begins: bool
    ends: bool


class Frames:
    """Cut what one side sends into pieces, none of two messages."""

    def __init__(self, *, mysql: bool = False, client: bool = False) -> None:
        """Begin with a connection; a client of PostgreSQL introduces itself first."""
        self._mysql = mysql
        self._introduces = client and not mysql
        self._head = bytearray()
        self._seen = self._length = 0

    def pieces(self, data: bytes) -> Iterator[Piece]:
        """Return the pieces of what was sent; together they are all of it."""
        while data:
            begins = not self._seen
            taken = self._take_head(data) or min(len(data), self._length - self._seen)
            self._seen += taken
            ends = self._seen == self._length
            yield Piece(data[:taken], begins, ends)
            data = data[taken:]
            if ends:
                self._head.clear()
                self._seen = self._length = 0

    def _take_head(self, data: bytes) -> int:
        """Return how many bytes are of a head that ends later; read one that ends."""
        if self._length:
            return 0
        wanted = self._head_length() - len(self._head)
        self._head += data[:wanted]
        if len(data) < wanted:
            return len(data)
        self._length = self._whole_length()
        return 0

    def _head_length(self) -> int:
        if self._introduces:
            return 8
        return 4 if self._mysql else 5

    def _whole_length(self) -> int:
        """Return the length of the message, the head and its length included."""
        head = bytes(self._head)
        if self._mysql:
            return 4 + int.from_bytes(head[:3], "little")
        if self._introduces:
            self._introduces = int.from_bytes(head[4:], "big") in {SSL, GSS}
            return int.from_bytes(head[:4], "big")
        return 1 + int.from_bytes(head[1:], "big")


def is_commit(message: bytes) -> bool:
    """Say whether a whole message of a client is a COMMIT, of either protocol."""
    words = message[5:].rstrip(b"\0;")
    return (message[:1] == b"Q" and words == b"COMMIT") or message[4:] == b"\x03COMMIT"

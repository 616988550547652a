"""A client's connection and the server's, between which the proxy passes bytes on."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.postgresql._frames import Frames
from tests.postgresql._traffic import Reader, Unread

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postgresql._frames import Piece
    from tests.postgresql._planted import Planted, Side
    from tests.postgresql._traffic import Traffic

_LINGER = struct.pack("ii", 1, 0)  # closing discards what is unsent, and sends RST
# ReadyForQuery, in a transaction that has failed.
_READY = b"Z\0\0\0\x05E"


@dataclass
class Passage:
    """What all links share: where they lead, who counts, and what is planted."""

    host: str
    port: int
    mysql: bool = False
    counting: list[Traffic] = field(default_factory=list["Traffic"])
    links: set[Link] = field(default_factory=lambda: set[Link]())  # noqa: PLW0108 - below
    cut: tuple[Side, int, bool] | None = None  # the side, its bytes left, whether RST
    planted: Planted | None = None
    happened: threading.Event = field(default_factory=threading.Event)
    delay: float = 0
    held: bool = False
    hushed: bool = False
    ended: list[asyncio.Transport] = field(default_factory=list["asyncio.Transport"])
    read: int = 0

    def hold(self, *, held: bool) -> None:
        """Stop reading on all links, or go on."""
        self.held = held
        for link in list(self.links):
            link.hold(held=held)


class _End(asyncio.Protocol):
    """One end of a link; what it reads, the link passes on."""

    transport: asyncio.Transport

    def __init__(self, link: Link, side: Side) -> None:
        self.link = link
        self.side: Side = side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.link.reads(self.side, data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.link.loses(self.side)


class Link(_End):
    """A client's connection, and the one to the server that belongs to it."""

    def __init__(self, passage: Passage) -> None:
        """Take where to pass to."""
        super().__init__(self, "client")
        self._passage = passage
        self._reader = Unread() if passage.mysql else Reader(passage.counting)
        self._server = _End(self, "server")
        self._open = {"client"}
        self._frames = {
            "client": Frames(mysql=passage.mysql, client=True),
            "server": Frames(mysql=passage.mysql),
        }
        self._late = deque["Callable[[], None]"]()
        self._kept = list["tuple[Side, bytes]"]()
        self._held = self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._passage.links.add(self)
        self.transport.pause_reading()
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        host, port = self._passage.host, self._passage.port
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self._server, host, port
            )
        except OSError:
            self.end()
            return
        if "client" not in self._open:
            self._server.transport.abort()
            return
        self._open.add("server")
        self.hold(held=self._passage.held)

    def hold(self, *, held: bool) -> None:
        """Stop reading both sides, or go on; without a server there is no reading."""
        self._held = held
        if "server" in self._open:
            for one in (self, self._server):
                read = one.transport
                (read.pause_reading if held else read.resume_reading)()
        while self._kept and not held:
            self._write(*self._kept.pop(0))

    def reads(self, side: Side, data: bytes) -> None:
        """Take what a side has sent, to be passed on now or late."""
        self._passage.read += 1
        self._in_turn(lambda: self._passes(side, data))

    def loses(self, side: Side) -> None:
        """Take note that a side has gone, after all that it has sent."""
        self._in_turn(lambda: self.lost(side))

    def _in_turn(self, act: Callable[[], None]) -> None:
        """Act now, or so late as is planted; never before what came earlier."""
        if not self._late and not self._passage.delay:
            act()
            return
        self._late.append(act)
        asyncio.get_running_loop().call_later(self._passage.delay, self._act)

    def _act(self) -> None:
        self._late.popleft()()

    def _passes(self, side: Side, data: bytes) -> None:
        """Pass on what a side sent, unless a fault is planted there."""
        data, cut = self._before_cut(side, data)
        for piece in self._frames[side].pieces(data):
            if self._held:
                self._kept.append((side, piece.data))
            elif not self._ended:
                self._passes_piece(side, piece)
        if cut is not None:
            self.end(reset=cut)

    def _passes_piece(self, side: Side, piece: Piece) -> None:
        planted = self._passage.planted
        if planted is None or not planted.concerns(self, side, piece):
            self._write(side, piece.data)
        elif not planted.after:
            self._kept.append((side, piece.data))
            self._happens(planted)
        else:
            self._write(side, piece.data)
            if planted.is_due(piece):
                self._happens(planted)

    def _happens(self, planted: Planted) -> None:
        self._passage.planted = None
        if planted.act == "hold":
            self.hold(held=True)
        else:
            self.end(reset=planted.act == "RST")
        self._passage.happened.set()

    def _write(self, side: Side, data: bytes) -> None:
        if side == "server":
            self._reader.server(data)
            _give(self, data)
            return
        data, reply = self._reader.client(data)
        if reply:
            _give(self, reply)
        _give(self._server, data)

    def _before_cut(self, side: Side, data: bytes) -> tuple[bytes, bool | None]:
        """Return what may pass, and whether the cut that follows is an RST."""
        planted = self._passage.cut
        if planted is None or planted[0] != side:
            return data, None
        left, reset = planted[1] - len(data), planted[2]
        self._passage.cut = (side, left, reset) if left >= 0 else None
        return (data, None) if left >= 0 else (data[:left], reset)

    def end(self, *, reset: bool = False) -> None:
        """End both connections; the client's by a FIN or an RST."""
        self._ended = True
        if reset and not self.transport.is_closing():
            raw: socket.socket = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self.transport.abort()
        else:
            self.transport.close()
        if "server" in self._open:
            self._server.transport.abort()

    def abandon(self) -> None:
        """End both connections, and wait for nobody to read what is left."""
        self.transport.abort()
        if "server" in self._open:
            self._server.transport.abort()

    def lost(self, side: Side) -> None:
        """Take the other side along when one has gone; what it was sent arrives."""
        if self._passage.planted:
            self._passage.planted.loses(self)
        self._open.discard(side)
        if side == "server" and self._passage.hushed:
            _give(self, _READY)
            self._passage.ended.append(self.transport)
        elif side == "server":
            self.transport.close()
        elif "server" in self._open:
            self._server.transport.close()
        if not self._open:
            self._passage.links.discard(self)


def _give(end: _End, data: bytes) -> None:
    """Write to an end, unless it has gone already."""
    if not end.transport.is_closing():
        end.transport.write(data)

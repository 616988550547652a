"""Servers that are none or far away, and what becomes of a client of theirs."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.postgresql._dialects import open_side
from tests.postgresql._faults import BOUND, Seen, connect, counts, failure, last_words
from tests.postgresql._proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from sqlalchemy import Engine

    from tests.postgresql._dialects import Side

_SSL_REQUEST: Final = struct.pack("!II", 8, 80877103)


def connecting(driver: str, url: str, **arguments: Any) -> Seen:
    """Return the error of connecting to a URL; no connection may be left."""

    def body(engine: Engine) -> tuple[Seen, tuple[int, int]]:
        return failure(connect, engine), counts(engine)

    with open_side(driver, url, **arguments) as side:
        found, left = side.on_engine(body)
    assert (0, 0) == left
    return found


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that gives each client one answer; lend its URL."""
    clients = list[socket.socket]()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            clients.append(client)
            client.settimeout(BOUND)
            answer(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, name="server")
        thread.start()
        try:
            yield f"postgresql://user@127.0.0.1:{listener.getsockname()[1]}/database"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for client in clients:
                client.close()


@contextmanager
def through(driver: str, url: str, **arguments: Any) -> Iterator[tuple[Proxy, Side]]:
    """Lend an engine whose connections pass a proxy."""
    with Proxy(url) as proxy, open_side(driver, proxy.url, **arguments) as side:
        yield proxy, side


def say_nothing(client: socket.socket) -> None:
    """Keep the client waiting."""


def close(client: socket.socket) -> None:
    """Close the connection before a word is said."""
    client.close()


def close_after_greeting(client: socket.socket) -> None:
    """Close the connection when the client has introduced itself."""
    _greeting(client)
    client.close()


def reset_after_greeting(client: socket.socket) -> None:
    """Reset the connection when the client has introduced itself."""
    _greeting(client)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def speak_http(client: socket.socket) -> None:
    """Answer in another protocol, as another server on that port would."""
    client.recv(1000)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client.close()


def break_off(client: socket.socket) -> None:
    """Let the client in, and break off in the middle of the next message."""
    _greeting(client)
    client.sendall(b"R\0\0\0\x08\0\0\0\0S\0\0")
    client.close()


def refuse_with(sqlstate: str) -> Callable[[socket.socket], None]:
    """Return an answer: the server refuses the client, with an SQLSTATE."""

    def answer(client: socket.socket) -> None:
        _greeting(client)
        client.sendall(last_words(sqlstate, "no luck today"))
        client.close()

    return answer


def say_no(client: socket.socket) -> None:
    """Refuse encryption, and wait what comes."""
    client.recv(1000)
    client.sendall(b"N")


def _greeting(client: socket.socket) -> None:
    """Read how a client introduces itself; encryption is refused."""
    if client.recv(1000) == _SSL_REQUEST:
        client.sendall(b"N")
        client.recv(1000)

"""A TCP proxy between clients and a server: it counts, and it makes faults.

    with Proxy(postgresql_url) as proxy:
        engine = create_async_engine(proxy.url)     # any driver, any number of engines
        with proxy.counting() as traffic:
            ...                                     # traffic: see `_traffic.Traffic`
        assert 3 == traffic.round_trips
        assert ["BEGIN;", "SELECT 1", "COMMIT;"] == traffic.statements

The proxy runs on 127.0.0.1 in a thread with an event loop of its own, so blocking
and asyncio clients use it alike, and its methods may be called from anywhere; each
has taken effect when it returns. Encryption is refused, so that it can read along.

Faults, each for all connections through the proxy:

    proxy.cut(after=0)                # the answer's first byte cuts, none arrives
    proxy.cut(after=0, of="client")   # the request is lost, and the connection cut
    proxy.cut(after=9, reset=True)    # nine bytes of the answer arrive, then an RST
    proxy.drop() / proxy.drop(reset=True)   # all connections end now, by FIN or RST
    proxy.cut_messages(2)             # two messages of an answer arrive, then a FIN
    proxy.cut_messages(0, of="client", since_commit=True)   # COMMIT does not arrive
    proxy.cut_messages(1, of="server", since_commit=True, act="hold")
                                      # COMMIT is done, and half of its answer arrives
    proxy.black_hole()                # nothing travels, and nothing is closed
    proxy.hush_up()                   # the server's last words arrive, and no end
    proxy.slow_down(0.1)              # all arrives, but so many seconds late
    proxy.refuse()                    # new connections are refused, old ones live
    proxy.heal()                      # all is well; what a black hole held travels on

A cut happens once; connections that are made after it live. One between messages
concerns one connection, and `proxy.happens()` waits for it: the first that sends such
a message, or a COMMIT. To hold is a black hole for that one. `proxy.connections` is
how many clients are connected now. In front of MySQL or MariaDB nothing is counted.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import make_url

from tests.postgresql._link import Link, Passage
from tests.postgresql._planted import Planted
from tests.postgresql._traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from tests.postgresql._planted import Act, Side

__all__ = ["Proxy", "Traffic"]

_T = TypeVar("_T")


class Proxy:
    """Pass bytes on between any number of clients and one server."""

    def __init__(self, url: str) -> None:
        """Take the URL of the server, without a driver."""
        self._server = make_url(url)
        host, port = self._server.host, self._server.port
        mysql = self._server.get_backend_name() in {"mysql", "mariadb"}
        usual = 3306 if mysql else 5432
        self._passage = Passage(host or "127.0.0.1", port or usual, mysql)

    @property
    def url(self) -> str:
        """Return the URL of the server through the proxy, without a driver."""
        through = self._server.set(host="127.0.0.1", port=self._port)
        return through.render_as_string(hide_password=False)

    @property
    def connections(self) -> int:
        """Return how many clients are connected."""
        return self._call(lambda: len(self._passage.links))

    @contextmanager
    def counting(self) -> Iterator[Traffic]:
        """Count what passes in the block; it may be read in the block too."""
        traffic = Traffic()
        self._call(lambda: self._passage.counting.append(traffic))
        try:
            yield traffic
        finally:
            self._call(lambda: self._passage.counting.remove(traffic))

    def settle(self) -> None:
        """Wait until what clients and server have sent so far is read and counted."""
        self._call(lambda: None)

    def cut(self, after: int = 0, *, of: Side = "server", reset: bool = False) -> None:
        """Let so many more bytes of a side pass; the byte after them cuts."""

        def plant() -> None:
            self._passage.cut = (of, after, reset)

        self._call(plant)

    def cut_messages(
        self,
        after: int = 0,
        *,
        of: Side = "server",
        since_commit: bool = False,
        act: Act = "FIN",
    ) -> None:
        """Let so many messages of a side pass, from a COMMIT on; then cut, or hold.

        With none to pass, the first one is kept.
        """

        def plant() -> None:
            self._passage.happened.clear()
            self._passage.planted = Planted(of, after, act, since_commit)

        self._call(plant)

    def happens(self, seconds: float = 5) -> bool:
        """Wait for what `cut_messages` planted, and say whether it has happened."""
        return self._passage.happened.wait(seconds)

    def drop(self, *, reset: bool = False) -> None:
        """End all connections now, by FIN or by RST."""

        def end() -> None:
            for link in list(self._passage.links):
                link.end(reset=reset)

        self._call(end)

    def black_hole(self) -> None:
        """Read nothing more, and pass nothing on, until `heal`."""
        self._call(lambda: self._passage.hold(held=True))

    def slow_down(self, seconds: float) -> None:
        """Pass on what is sent from now on so many seconds late, until `heal`."""

        def slow() -> None:
            self._passage.delay = seconds

        self._call(slow)

    def hush_up(self) -> None:
        """Tell no client that its server has gone, until `heal`.

        It hears the server's last words, and that it is ready for a query then: libpq
        waits for that, or for the end.
        """

        def hush() -> None:
            self._passage.hushed = True

        self._call(hush)

    def refuse(self) -> None:
        """Refuse new connections, until `heal`."""
        self._call(self._listener.close)

    def heal(self) -> None:
        """End every fault; connections that were cut stay so."""

        async def listen() -> None:
            if not self._listener.is_serving():
                await self._listen()

        def mend() -> None:
            self._passage.cut = self._passage.planted = None
            self._passage.delay = 0
            self._passage.hushed = False
            while self._passage.ended:
                self._passage.ended.pop().close()
            self._passage.hold(held=False)

        self._call(mend)
        asyncio.run_coroutine_threadsafe(listen(), self._loop).result(5)

    def __enter__(self) -> Self:
        """Begin to listen, on a free port."""
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """End all connections and the thread."""

        async def end() -> None:
            self._listener.close()
            for link in list(self._passage.links):
                link.abandon()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            while self._passage.links:  # noqa: ASYNC110 - a turn or two
                await asyncio.sleep(0)

        try:
            asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _listen(self) -> None:
        self._listener = await self._loop.create_server(
            lambda: Link(self._passage), "127.0.0.1", self._port, reuse_address=True
        )
        self._port = self._listener.sockets[0].getsockname()[1]

    def _call(self, function: Callable[[], _T]) -> _T:
        """Call in the thread, once all that was sent before has been read there."""

        async def settled() -> _T:
            before = -1
            while before != self._passage.read:
                before = self._passage.read
                for _ in range(3):  # each turn of the loop reads what has come
                    await asyncio.sleep(0)
            return function()

        return asyncio.run_coroutine_threadsafe(settled(), self._loop).result(5)

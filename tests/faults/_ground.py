"""Servers for faults, and what one fault needs of them: a bank, a load, a proxy."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, make_url, text

from tests.faults._bank import Bank
from tests.faults._book import Book
from tests.faults._drivers import open_async_engine, open_engine
from tests.faults._load import BOUND
from tests.faults._server import Server, server
from tests.faults._tasks import Tasks
from tests.faults._threads import Threads
from tests.postgresql._proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.faults._drivers import Driver
    from tests.faults._load import Load
    from tests.postgresql._standby import Replicated

_NUMBERS = itertools.count(1)
# Ours, which knows each connection that is lost: psycopg's own does not always.
_EYES: Final = {"postgresql": "postgresql+async_layers", "mysql": "mysql+pymysql"}
_CONNECTED: Final = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE application_name = :name",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = :name",
}
_OPEN: Final = {
    "postgresql": _CONNECTED["postgresql"] + " AND state <> 'idle'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx"
    " JOIN information_schema.processlist ON id = trx_mysql_thread_id WHERE db = :name",
}


class UnavailableError(Exception):
    """What a fault needs and this machine does not have."""


class Ground:
    """A server of one database, and an engine beside the load, in autocommit."""

    def __init__(
        self, url: str, own: Server | None = None, both: Replicated | None = None
    ) -> None:
        """Take the URL of a server, and what can be done to it that others cannot."""
        self.url = make_url(url)
        self.database = self.url.get_backend_name().replace("mariadb", "mysql")
        self.own, self.both = own, both
        eye = self.url.set(drivername=_EYES[self.database])
        self.eye = create_engine(
            eye.update_query_dict(
                {"target_session_attrs": "read-write"} if both else {}
            ),
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,
        )

    @contextmanager
    def scene(
        self,
        driver: Driver,
        workers: int,
        ways: Sequence[Any] | None = None,
        *,
        proxied: bool,
    ) -> Iterator[Scene]:
        """Lend a bank, and a load on it that has not begun."""
        number = next(_NUMBERS)
        name = f"faults_{os.getpid()}_{number}"
        bank = Bank(self.eye, name, number)
        with ExitStack() as stack:
            url = self.url
            if proxied:
                url = make_url(stack.enter_context(proxy := Proxy(_plain(url))).url)
            bank.open()
            stack.callback(bank.close)
            if self.database == "mysql":  # by which its connections are known
                url = url.set(database=name)
            book = Book()
            opened = open_engine if driver.blocking else open_async_engine
            engine = opened(driver, url, name, workers, several=self.both is not None)
            make: Any = Threads if driver.blocking else Tasks
            load = make(bank, book, workers, engine, *([ways] if ways else []))
            yield Scene(self, name, bank, book, load, proxy if proxied else None)


def _plain(url: Any) -> str:
    plain: str = url.render_as_string(hide_password=False)
    return plain


@dataclass
class Scene:
    """What a fault acts upon."""

    ground: Ground
    name: str
    bank: Bank
    book: Book
    load: Load
    _proxy: Proxy | None

    @property
    def proxy(self) -> Proxy:
        """The proxy that the load passes."""
        assert self._proxy is not None
        return self._proxy

    @property
    def own(self) -> Server:
        """The server, which may be ended."""
        assert self.ground.own is not None
        return self.ground.own

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return self.load.workers

    @property
    def eye(self) -> Engine:
        """The engine beside the load, in autocommit."""
        return self.ground.eye

    def ask(self, statement: str, **parameters: object) -> list[Any]:
        """Return the first column of what a statement returns, beside the load."""
        with self.eye.connect() as connection:
            return list(connection.execute(text(statement), parameters).scalars())

    def tell(self, statement: str) -> None:
        """Execute a statement beside the load."""
        self.bank.tell(statement)

    def backends(self, condition: str = "true") -> list[int]:
        """Return the processes of PostgreSQL that serve the load."""
        return self.ask(
            f"SELECT pid FROM pg_stat_activity "  # noqa: S608 - a condition of ours
            f"WHERE application_name = :name AND {condition}",
            name=self.name,
        )

    def connections(self) -> int:
        """Return how many connections of the load the server has."""
        found: int = self.ask(_CONNECTED[self.ground.database], name=self.name)[0]
        return found

    def open(self) -> int:
        """Return how many of them are not idle."""
        found: int = self.ask(_OPEN[self.ground.database], name=self.name)[0]
        return found

    def felt(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds of the book."""
        assert self.book.wait_for(condition, BOUND), self.book.attempts[-4:]


def becomes(condition: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Wait until a condition holds, and say whether it does in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def own_ground() -> Iterator[Ground]:
    """Lend a PostgreSQL server that faults may end."""
    with server() as running:
        ground = Ground(running.url, running)
        try:
            yield ground
        finally:
            ground.eye.dispose()


@contextmanager
def mysql_ground(url: str) -> Iterator[Ground]:
    """Lend a server of MySQL or MariaDB that runs already."""
    if not url:
        raise UnavailableError("ASYNC_LAYERS_TEST_MYSQL_URL is unset")
    ground = Ground(url)
    try:
        yield ground
    finally:
        ground.eye.dispose()

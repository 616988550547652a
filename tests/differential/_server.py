"""A server that writes down each statement, and what it wrote of transactions."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import psycopg
from sqlalchemy import make_url

from async_layers.embedded import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Observer = psycopg.Connection[tuple[Any, ...]]

_SETTINGS = {
    "log_statement": "all",
    "log_line_prefix": "%a|",
    "log_min_error_statement": "panic",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # A scenario that hangs ends with an error, which is then its outcome.
    "statement_timeout": "10s",
}
_LINE = re.compile(r"^([^|]+)\|LOG:\s+(?:statement|execute [^:]*): (.*)$", re.DOTALL)
_CONTROL = re.compile(
    r"^(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE"
    r"|PREPARE TRANSACTION|SET TRANSACTION|SET SESSION CHARACTERISTICS)\b"
)
_NAME = re.compile(r"'[^']*'")  # of a prepared transaction
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_MARK = "SELECT 'from here on', "


def reach(url: str) -> Observer:
    """Connect as an observer, who commits at once and whom no lock keeps waiting."""
    plain = make_url(url).set(drivername="postgresql")
    return psycopg.connect(
        plain.render_as_string(hide_password=False),
        autocommit=True,
        options="-clock_timeout=500ms",
    )


@dataclass
class Log:
    """The server's log, read on as it grows."""

    file: IO[str]
    _heard: defaultdict[str, list[str]] = field(
        default_factory=lambda: defaultdict[str, list[str]](list)
    )

    def heard(self, application: str) -> tuple[str, ...]:
        """Return the statements that begin and end transactions, since the mark."""
        for line in _joined(self.file):
            if found := _LINE.match(line):
                self._hear(found[1], found[2])
        return tuple(self._heard.pop(application, []))

    def _hear(self, application: str, statement: str) -> None:
        if statement.startswith(_MARK):
            self._heard.pop(statement.removeprefix(_MARK).strip("'\n"), None)
            return
        statement = _COMMENT.sub("", statement)
        plain = " ".join(_NAME.sub("'...'", statement).rstrip("; \n").upper().split())
        if _CONTROL.match(plain):
            self._heard[application].append(plain)


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield whole entries: what begins with a tab goes on with the line before."""
    entry = ""
    for line in lines:
        if entry and not line.startswith("\t"):
            yield entry
            entry = ""
        entry += line
    yield entry


@dataclass(frozen=True)
class Server:
    """Where the scenarios run; without a log, control statements are not compared.

    `observer` prepares the ground, looks on, and clears up.
    """

    url: str
    log: Log | None
    observer: Observer

    def prepares_transactions(self) -> bool:
        """Say whether transactions can have two phases here."""
        found = self.observer.execute("SHOW max_prepared_transactions").fetchone()
        return found != ("0",)

    @staticmethod
    def mark(application: str) -> str:
        """Return the statement after which an application's statements count."""
        return f"{_MARK}'{application}'"


@contextmanager
def server_at(url: str, log: Log | None = None) -> Iterator[Server]:
    """Lend a server that runs already; it keeps the extension hstore, if it has it.

    psycopg takes a dictionary for one where there is one.
    """
    with reach(url) as observer:
        with suppress(psycopg.errors.FeatureNotSupported):
            observer.execute("CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public")
        yield Server(url, log, observer)


@contextmanager
def logging_server() -> Iterator[Server]:
    """Lend a server of our own whose log can be read."""
    with (
        embedded_postgres(settings=_SETTINGS) as started,
        started.log.open(encoding="utf-8", errors="replace") as file,
        server_at(started.url, Log(file)) as server,
    ):
        yield server

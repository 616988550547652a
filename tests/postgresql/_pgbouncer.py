"""A PgBouncer of the tests' own, in transaction mode, before a PostgreSQL server.

The program is Debian's (`apt-get install pgbouncer`), or the one that
ASYNC_LAYERS_TEST_PGBOUNCER names: no wheel on PyPI holds it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url

from async_layers._embedded.programs import drop_root
from async_layers._embedded.watchdog import poll, watchdog
from tests.postgresql._dialects import open_side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from sqlalchemy import URL

    from tests.postgresql._dialects import Side

INSTALL = (
    "no pgbouncer here: run apt-get install --no-install-recommends pgbouncer, "
    "or name the program in ASYNC_LAYERS_TEST_PGBOUNCER"
)

_SECONDS = 10.0
_SETTINGS = """
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = {user}
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 100
"""


class PgBouncer:
    """One that runs: its `url` names no driver."""

    def __init__(self, url: URL, server: URL) -> None:
        """Keep where clients connect, and where the server is."""
        self.url = url
        self._server = server

    def prepared(self) -> list[str]:
        """Return the statements left prepared on its connections of the server.

        A client is given each of them: it asks in as many transactions at once.
        """
        left: list[str] = []
        clients = [self._connect() for _ in self.backends()]
        for client in clients:
            client.execute("BEGIN")
            rows = client.execute("SELECT name FROM pg_prepared_statements")
            left += [name for (name,) in rows]
        for client in clients:
            client.execute("ROLLBACK")
            client.close()
        return left

    def backends(self) -> list[str]:
        """Return the state of each of its connections, as the server sees it."""
        url = f"{self.url.set(database='pgbouncer').render_as_string(False)}"  # noqa: FBT003
        with closing(psycopg.connect(url, autocommit=True)) as console:
            # Its console knows the simple protocol alone.
            cursor = psycopg.ClientCursor(console)
            cursor.execute("SHOW SERVERS")
            names = [each.name for each in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        pids = [row["remote_pid"] for row in rows]
        server = self._server.render_as_string(hide_password=False)
        with closing(psycopg.connect(server)) as observer:
            found = observer.execute(
                "SELECT state FROM pg_stat_activity WHERE pid = ANY(%s)", [pids]
            )
            return [state for (state,) in found]

    def _connect(self) -> psycopg.Connection[Any]:
        url = self.url.render_as_string(hide_password=False)
        return psycopg.connect(url, prepare_threshold=None, autocommit=True)


@pytest.fixture(scope="module")
def bouncer(postgresql_url: str) -> Iterator[PgBouncer]:
    """Return one with three backends."""
    with pgbouncer(postgresql_url) as found:
        yield found


def open_through(
    bouncer: PgBouncer, driver: str, **arguments: Any
) -> AbstractContextManager[Side]:
    """Open an engine that connects through it, as it should."""
    url = bouncer.url.render_as_string(hide_password=False)
    return open_side(driver, url, pooler="pgbouncer", **arguments)


def program() -> str | None:
    """Return where the program is, or None."""
    named = os.environ.get("ASYNC_LAYERS_TEST_PGBOUNCER")
    # Debian keeps it where only root's PATH leads.
    return named or shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pgbouncer(server_url: str, size: int = 3) -> Iterator[PgBouncer]:
    """Lend one before a server, with so many connections to each of its databases.

    It ends with the block, and with this process where that is killed.
    """
    server = make_url(server_url)
    with (
        tempfile.TemporaryDirectory(prefix="pgb-") as name,
        watchdog(directory := Path(name)) as group,
    ):
        user = drop_root(directory)
        url = server.set(host="127.0.0.1", port=_free_port())
        settings = _write(directory, server, url, size)
        log = directory / "log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [*user, program() or "pgbouncer", f"{settings}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=group,
            ) as process,
        ):
            try:
                poll(
                    lambda: _answers(url.port) or process.poll() is not None,
                    time.monotonic() + _SECONDS,
                )
                assert process.poll() is None, log.read_text()
                yield PgBouncer(url, server)
            finally:
                process.terminate()
                process.wait(_SECONDS)


def _write(directory: Path, server: URL, url: URL, size: int) -> Path:
    users, settings = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text(f'"{server.username}" "{server.password or ""}"\n')
    settings.write_text(
        _SETTINGS.format(
            host=server.host,
            port=server.port or 5432,
            listen=url.port,
            users=users,
            user=server.username,
            size=size,
        )
    )
    directory.chmod(0o755)
    return settings


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _answers(port: int | None) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port or 0)) == 0

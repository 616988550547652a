"""Where a run of the suite finds its database, empty and its own."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import create_engine, make_url

from async_layers.embedded import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import URL

    # It takes the name of a dialect and lends the URL of a database.
    Lend = Callable[[str], AbstractContextManager[str]]


@contextmanager
def sqlite() -> Iterator[Lend]:
    """Lend databases that are files in the folder of a run."""

    @contextmanager
    def lend(dialect: str) -> Iterator[str]:
        yield f"{dialect}:///compliance.db"

    yield lend


@contextmanager
def postgresql() -> Iterator[Lend]:
    """Lend databases of one server, the one that is named or an embedded one."""

    @contextmanager
    def lend(dialect: str) -> Iterator[str]:
        with _new_database(make_url(server)) as url:
            yield url.set(drivername=dialect).render_as_string(hide_password=False)

    if server := os.environ.get("ASYNC_LAYERS_TEST_POSTGRESQL_URL", ""):
        yield lend
    else:
        with embedded_postgres() as embedded:
            server = embedded.url
            yield lend


@contextmanager
def _new_database(server: URL) -> Iterator[URL]:
    """Lend a database with the schemas that SQLAlchemy's tests expect.

    README.unittests.rst of SQLAlchemy, "Database Configuration", asks for them and
    for UTF-8; the extensions are made by SQLAlchemy's plugin. template0 holds
    nothing that an administrator may have added.
    """
    name = f"async_layers_compliance_{uuid4().hex}"
    url = server.set(database=name)
    _run(server, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        _run(url, "CREATE SCHEMA test_schema", "CREATE SCHEMA test_schema_2")
        yield url
    finally:
        _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def _run(url: URL, *statements: str) -> None:
    """Run statements outside a transaction, through SQLAlchemy's own dialect."""
    stock = url.set(drivername="postgresql+psycopg")
    engine = create_engine(stock, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()

"""The databases of the tests: files of SQLite, and a real PostgreSQL.

The server is the embedded one of the extra, started for the session;
`ASYNC_LAYERS_TEST_POSTGRESQL_URL` names another.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest

from async_layers._proof.scratch import Scratch, scratch
from async_layers.embedded import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report no more of an expected failure than the line of the test.

    To find the source of each frame of SQLAlchemy takes longer than the test. No
    garbage is collected meanwhile: a greenlet that ends while Python 3.11 parses that
    source is a SystemError ("AST constructor recursion depth mismatch").
    """
    if call.excinfo is not None and item.get_closest_marker("xfail"):
        error = call.excinfo.value
        error.__cause__ = error.__context__ = None
        for entry in call.excinfo.traceback:
            if entry.path == item.path:
                entry._rawentry.tb_next = None
                break
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """Return the URL of a PostgreSQL server, without a driver."""
    named = os.environ.get("ASYNC_LAYERS_TEST_POSTGRESQL_URL")
    if named:
        yield named
        return
    with embedded_postgres() as server:
        yield server.url


@pytest.fixture(scope="session")
def sqlite_place() -> Iterator[Scratch]:
    """Return a place to prove facts on: sqlite3 and aiosqlite."""
    with scratch("sqlite://") as place:
        yield place


@pytest.fixture(scope="session")
def asyncpg_place(postgresql_url: str) -> Iterator[Scratch]:
    """Return a place to prove facts on: psycopg and asyncpg."""
    with scratch(postgresql_url) as place:
        yield place


@pytest.fixture(scope="session")
def psycopg_place(postgresql_url: str) -> Iterator[Scratch]:
    """Return a place to prove facts on: psycopg and psycopg's asyncio face."""
    with scratch(postgresql_url, "psycopg") as place:
        yield place


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'file.db'}"


@pytest.fixture(params=["sqlite", "asyncpg", "psycopg"])
def place(request: pytest.FixtureRequest) -> Scratch:
    """Return each place in turn, with fresh tables."""
    found: Scratch = request.getfixturevalue(f"{request.param}_place")
    found.fresh()
    return found

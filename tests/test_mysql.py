"""The helpers on MySQL or MariaDB: a lane of its own, where a URL names a server.

`ASYNC_LAYERS_TEST_MYSQL_URL`, such as `mariadb://root@127.0.0.1/test`.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, select
from sqlalchemy.exc import DBAPIError

from async_layers import (
    async_engine_scope,
    async_insert_rows,
    async_read,
    async_savepoint,
    async_stream,
    async_transaction,
    engine_scope,
    insert_rows,
    read,
    savepoint,
    stream,
    trace,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = os.environ.get("ASYNC_LAYERS_TEST_MYSQL_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="ASYNC_LAYERS_TEST_MYSQL_URL is unset")

ROWS = [{"id": n, "owner": f"owner {n}"} for n in range(1, 1001)]
# asyncmy tells nobody whether it is in a transaction; what SQLAlchemy believes
# is then what the trace says.
LINES = """\
checkout
BEGIN
INSERT {0} x1000
SAVEPOINT 1
DELETE {0}
ROLLBACK TO SAVEPOINT 1
COMMIT
reset
checkin"""


@pytest.fixture
def table() -> Iterator[Table]:
    """Return a table with a name of its own, and drop it."""
    name = f"async_layers_{secrets.token_hex(4)}"
    table = Table(
        name,
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("owner", String(20)),
    )
    with engine_scope(URL) as engine:
        table.create(engine)
        yield table
        table.drop(engine)


def test_helpers_do_on_mysql_what_they_do_elsewhere(table: Table) -> None:
    """Transaction, savepoint, load, stream and reading, each by its helper."""
    with engine_scope(URL, application_name="tests", connect_timeout=5) as engine:
        engine.connect().close()
        with trace(engine) as seen, transaction(engine) as connection:
            assert 1000 == insert_rows(connection, table, ROWS)
            with pytest.raises(LookupError), savepoint(connection):
                connection.execute(table.delete())
                raise LookupError
        assert LINES.format(table.name) == str(seen)
        with stream(engine, select(table.c.id), batch=400) as batches:
            assert [400, 400, 200] == [len(rows) for rows in batches]
        with read(engine) as connection:
            assert 1000 == connection.scalar(select(func.count(table.c.id)))
        refused = pytest.raises(DBAPIError, match="READ ONLY")
        with refused, transaction(engine, read_only=True) as connection:
            connection.execute(table.delete())


async def test_helpers_do_on_mysql_what_they_do_elsewhere_under_asyncio(
    table: Table,
) -> None:
    """Transaction, savepoint, load, stream and reading, each by its helper."""
    async with async_engine_scope(URL, connect_timeout=5, wait=1.0) as engine:
        with trace(engine) as seen:
            async with async_transaction(engine) as connection:
                assert 1000 == await async_insert_rows(connection, table, ROWS)
                with pytest.raises(LookupError):
                    async with async_savepoint(connection):
                        await connection.execute(table.delete())
                        raise LookupError
        assert LINES.format(table.name) == str(seen)
        async with async_stream(engine, select(table.c.id), batch=400) as batches:
            assert [400, 400, 200] == [len(rows) async for rows in batches]
        async with async_read(engine) as connection:
            assert 1000 == await connection.scalar(select(func.count(table.c.id)))
        with pytest.raises(DBAPIError, match="READ ONLY"):
            async with async_transaction(engine, read_only=True) as connection:
                await connection.execute(table.delete())

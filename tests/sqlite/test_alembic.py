"""Migrations by Alembic, which finds the dialects by their URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, String, Table, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from pathlib import Path

METADATA = MetaData()
Table("item", METADATA, Column("id", Integer, primary_key=True), Column("name", String))

ENVIRONMENT = """
import asyncio
from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

url = context.config.get_main_option("sqlalchemy.url")

def migrate(connection):
    # Alembic takes SQLite's DDL for final, as sqlite3 by itself makes it.
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()

async def migrate_async():
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()

if context.config.get_main_option("world") == "async":
    asyncio.run(migrate_async())
else:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            migrate(connection)
    finally:
        engine.dispose()
"""

REVISION = """
from alembic import op
import sqlalchemy as sa

revision = {revision!r}
down_revision = {down!r}

def upgrade():
    {body}
"""


STEPS = {
    "one": "op.create_table('item', sa.Column('id', sa.Integer, primary_key=True))",
    "two": "op.create_table('note'); op.execute('no statement')",
}


@pytest.fixture(params=["sync", "async"])
def configuration(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """Write two migrations: a table, then one that fails in its second step."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").write_text(ENVIRONMENT)
    down = None
    for revision, body in STEPS.items():
        script = REVISION.format(revision=revision, down=down, body=body)
        (versions / f"{revision}.py").write_text(script)
        down = revision
    configuration = Config()
    for name, value in {
        "script_location": str(tmp_path / "migrations"),
        "path_separator": "os",
        "sqlalchemy.url": f"sqlite+async_layers:///{tmp_path / 'app.db'}",
        "world": request.param,
    }.items():
        configuration.set_main_option(name, value)
    return configuration


def test_migration_that_fails_leaves_nothing(configuration: Config) -> None:
    """DDL is part of the transaction, and so is the version."""
    command.upgrade(configuration, "one")
    with pytest.raises(OperationalError, match="syntax error"):
        command.upgrade(configuration, "two")
    engine = sqlalchemy.create_engine(_url(configuration))
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        version = connection.scalar(text("SELECT version_num FROM alembic_version"))
    engine.dispose()
    assert ["alembic_version", "item"] == tables
    assert "one" == version


def test_autogenerate_sees_what_is_missing(configuration: Config) -> None:
    """The dialect reflects; the difference to the metadata is one column."""
    command.upgrade(configuration, "one")
    engine = sqlalchemy.create_engine(_url(configuration))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert [("add_column", "item", "name")] == [
        (what, table, column.name) for what, _, table, column in differences
    ]


async def test_autogenerate_sees_what_is_missing_under_asyncio(tmp_path: Path) -> None:
    """The asyncio dialect is found by the same URL, and reflects in run_sync."""
    engine = create_async_engine(f"sqlite+async_layers:///{tmp_path / 'app.db'}")
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), METADATA)
        )
    await engine.dispose()
    assert [("add_table", "item")] == [
        (what, table.name) for what, table in differences
    ]


def _url(configuration: Config) -> str:
    return str(configuration.get_main_option("sqlalchemy.url"))

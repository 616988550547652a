"""A model of all common types, and where its migrations are."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, LiteralString

from alembic.config import Config
from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    Uuid,
    func,
    text,
)
from sqlalchemy import Enum as EnumType
from sqlalchemy.dialects.postgresql import CIDR, DATERANGE, INET, JSONB, TSVECTOR

if TYPE_CHECKING:
    from pathlib import Path


class Size(Enum):
    """How big something is."""

    SMALL = "small"
    BIG = "big"


METADATA = MetaData()
Table(
    "maker",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
)
Table(
    "item",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("maker_id", Integer, ForeignKey("maker.id", ondelete="CASCADE"), index=True),
    Column("boolean", Boolean, nullable=False, server_default=text("false")),
    Column("small", SmallInteger, server_default=text("7")),
    Column("real", REAL),
    Column("double", Double),
    Column("numeric", Numeric(12, 4), server_default=text("0.5")),
    Column("string", String(20), server_default="none"),
    Column("text", Text),
    Column("bytes", LargeBinary),
    Column("date", Date),
    Column("time", Time),
    Column("at", DateTime(timezone=True), server_default=func.now()),
    Column("naive", DateTime),
    Column("interval", Interval),
    Column("uuid", Uuid),
    Column("json", JSON),
    Column("jsonb", JSONB, server_default=text("'{}'::jsonb")),
    Column("numbers", ARRAY(Integer)),
    Column("size", EnumType(Size)),
    Column("address", INET),
    Column("network", CIDR),
    Column("days", DATERANGE),
    Column("words", TSVECTOR),
    CheckConstraint("small > 0", "small_is_positive"),
    Index("item_text", "text", postgresql_where=text("boolean")),
)

ENVIRONMENT = """
import asyncio
from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from tests.postgresql._migrations import METADATA

url = context.config.get_main_option("sqlalchemy.url")

def migrate(connection):
    context.configure(
        connection=connection, target_metadata=METADATA, compare_server_default=True
    )
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

# What Alembic writes a migration of its own with.
TEMPLATE = """
from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

def upgrade():
    ${upgrades}

def downgrade():
    ${downgrades}
    op.execute("DROP TYPE IF EXISTS size")
"""

REVISION: LiteralString = """
from alembic import op
import sqlalchemy as sa

revision = {revision!r}
down_revision = {down!r}

def upgrade():
    {up}

def downgrade():
    {down_body}
"""


def configuration(folder: Path, url: str, world: str) -> Config:
    """Write an environment without migrations, and return how Alembic finds it."""
    migrations = folder / "migrations"
    (migrations / "versions").mkdir(parents=True)
    (migrations / "env.py").write_text(ENVIRONMENT)
    (migrations / "script.py.mako").write_text(TEMPLATE)
    found = Config()
    for name, value in {
        "script_location": f"{migrations}",
        "path_separator": "os",
        "sqlalchemy.url": url,
        "world": world,
    }.items():
        found.set_main_option(name, value)
    return found


def write(
    found: Config, revision: str, down: str | None, up: str, back: str = "pass"
) -> None:
    """Write a migration by hand, on top of another."""
    script = REVISION.format(revision=revision, down=down, up=up, down_body=back)
    versions = f"{found.get_main_option('script_location')}/versions"
    with open(f"{versions}/{revision}.py", "w") as file:  # noqa: PTH123
        file.write(script)

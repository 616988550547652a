"""Types, converters and factories are those of the stock dialect, under asyncio."""

from __future__ import annotations

import datetime as dt
import pickle
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest
from sqlalchemy import (
    CTE,
    DATE,
    JSON,
    TIMESTAMP,
    Column,
    Integer,
    MetaData,
    PickleType,
    String,
    Table,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.sqlite import JSONB
from sqlalchemy.schema import CreateTable

from tests.sqlite._ground import (
    NAMES,
    Person,
    async_engine_on,
    people,
    tell,
    with_stock,
)
from tests.sqlite._values import CASES

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from sqlalchemy.types import TypeEngine


# --- SQLAlchemy's types


@pytest.mark.filterwarnings(
    # What SQLAlchemy says of Decimal on any dialect of SQLite.
    "ignore:Dialect sqlite.* does .not. support Decimal:sqlalchemy.exc.SAWarning"
)
@pytest.mark.parametrize(
    ("kind", "value", "storage", "stored"), CASES, ids=[repr(it[0]) for it in CASES]
)
@with_stock("aiosqlite")
async def test_value_comes_back_as_it_went(  # noqa: PLR0913, PLR0917 - a table of cases
    driver: str,
    kind: TypeEngine[Any],
    value: object,
    storage: str,
    stored: object,
    tmp_path: Path,
) -> None:
    """A value of each type is stored alike, and comes back as it was."""
    file = tmp_path / "file.db"
    table = Table("t", MetaData(), Column("v", kind))
    async with async_engine_on(driver, file) as engine:
        async with engine.begin() as connection:
            await connection.execute(CreateTable(table))
            await connection.execute(table.insert(), [{"v": value}])
            assert value == await connection.scalar(select(table.c.v))
    with closing(sqlite3.connect(file)) as outside:
        found = outside.execute("SELECT typeof(v), v FROM t").fetchone()
    assert (storage, stored) == found


@with_stock("aiosqlite")
async def test_pickled_value_comes_back_as_it_went(driver: str, tmp_path: Path) -> None:
    """An object that is pickled is a blob."""
    file = tmp_path / "file.db"
    table = Table("t", MetaData(), Column("v", PickleType()))
    async with async_engine_on(driver, file) as engine:
        async with engine.begin() as connection:
            await connection.execute(CreateTable(table))
            await connection.execute(table.insert().values(v={"a": (1, 2)}))
            assert {"a": (1, 2)} == await connection.scalar(select(table.c.v))
    with closing(sqlite3.connect(file)) as outside:
        (found,) = outside.execute("SELECT v FROM t").fetchone()
    assert {"a": (1, 2)} == pickle.loads(found)  # noqa: S301 - our own


@pytest.mark.skipif(
    sqlite3.sqlite_version_info < (3, 45), reason="JSONB is of SQLite 3.45"
)
@with_stock("aiosqlite")
async def test_binary_json_comes_back_as_it_went(driver: str, tmp_path: Path) -> None:
    """A document of JSONB is a blob that SQLite reads."""
    table = Table("t", MetaData(), Column("v", JSONB()))
    async with async_engine_on(driver, tmp_path / "file.db") as engine:
        async with engine.begin() as connection:
            await connection.execute(CreateTable(table))
            await connection.execute(table.insert().values(v={"a": [1, None]}))
            assert {"a": [1, None]} == await connection.scalar(select(table.c.v))


@with_stock("aiosqlite")
async def test_path_into_json_is_followed(driver: str, tmp_path: Path) -> None:
    """A part of a document can be asked for."""
    table = Table("t", MetaData(), Column("v", JSON()))
    async with async_engine_on(driver, tmp_path / "file.db") as engine:
        async with engine.begin() as connection:
            await connection.execute(CreateTable(table))
            await connection.execute(table.insert().values(v={"a": [1, {"b": "c"}]}))
            found = await connection.scalar(select(table.c.v["a", 1, "b"].as_string()))
    assert "c" == found


@with_stock("aiosqlite")
async def test_table_is_reflected(driver: str, tmp_path: Path) -> None:
    """Columns are found with their types."""
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        async with engine.connect() as connection:
            columns = await connection.run_sync(
                lambda sync: inspect(sync).get_columns("person")
            )
    found = [(column["name"], str(column["type"])) for column in columns]
    assert [("id", "INTEGER"), ("name", "TEXT")] == found


@with_stock("aiosqlite")
async def test_common_table_expression_is_read(driver: str, tmp_path: Path) -> None:
    """A statement that begins with WITH has rows as any other."""
    one: CTE = select(Person.name).where(Person.id == 1).cte("one")
    async with async_engine_on(driver, people(tmp_path, 2)) as engine:
        async with engine.connect() as connection:
            assert ["1"] == list(await connection.scalars(select(one.c.name)))


# --- converters and adapters of sqlite3

DETECT = {"detect_types": sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES}


class Spot(NamedTuple):
    """A place on a map, stored as text."""

    x: int
    y: int

    def __conform__(self, _protocol: object) -> str:
        """Return what SQLite stores."""
        return f"{self.x};{self.y}"


def to_spot(stored: bytes) -> Spot:
    """Return what was stored."""
    x, y = stored.split(b";")
    return Spot(int(x), int(y))


# The name of a declared type that nobody else has.
sqlite3.register_converter("spot_of_async_layers", to_spot)


@with_stock("aiosqlite")
async def test_declared_type_is_converted(driver: str, tmp_path: Path) -> None:
    """With PARSE_DECLTYPES a registered converter makes the value."""
    async with async_engine_on(
        driver, tmp_path / "file.db", connect_args=DETECT
    ) as engine:
        async with engine.begin() as connection:
            await connection.execute(
                text("CREATE TABLE map (spot spot_of_async_layers)")
            )
            await connection.execute(
                text("INSERT INTO map VALUES (:it)"), {"it": Spot(1, 2)}
            )
            assert Spot(1, 2) == await connection.scalar(text("SELECT spot FROM map"))


@with_stock("aiosqlite")
async def test_column_that_names_a_type_is_converted(
    driver: str, tmp_path: Path
) -> None:
    """With PARSE_COLNAMES the name of a column says how it is converted."""
    statement = text('''SELECT '3;4' AS "here [spot_of_async_layers]"''')
    async with async_engine_on(
        driver, tmp_path / "file.db", connect_args=DETECT
    ) as engine:
        async with engine.connect() as connection:
            result = await connection.execute(statement)
            assert ["here"] == list(result.keys())
            assert [(Spot(3, 4),)] == result.fetchall()


@with_stock("aiosqlite")
async def test_stream_is_converted(driver: str, tmp_path: Path) -> None:
    """Rows that are read in batches are converted, too."""
    statement = text('''SELECT '3;4' AS "here [spot_of_async_layers]"''')
    async with async_engine_on(
        driver, tmp_path / "file.db", connect_args=DETECT
    ) as engine:
        async with engine.connect() as connection:
            result = await connection.stream(
                statement, execution_options={"yield_per": 1}
            )
            assert [(Spot(3, 4),)] == await result.fetchall()


@pytest.mark.filterwarnings(
    # What native_datetime is made of, from Python 3.12 on.
    "ignore:The default .* is deprecated:DeprecationWarning"
)
@with_stock("aiosqlite")
async def test_native_dates_are_those_of_sqlite3(driver: str, tmp_path: Path) -> None:
    """With native_datetime sqlite3 converts, as its documentation says."""
    file = tmp_path / "file.db"
    table = Table("t", MetaData(), Column("d", DATE()), Column("s", TIMESTAMP()))
    day = dt.date(2024, 2, 29)
    second = dt.datetime(2024, 2, 29, 1, 2, 3)  # noqa: DTZ001 - SQLite has no zones
    arguments = {"connect_args": DETECT, "native_datetime": True}
    async with async_engine_on(driver, file, **arguments) as engine:
        async with engine.begin() as connection:
            await connection.execute(CreateTable(table))
            await connection.execute(table.insert().values(d=day, s=second))
            assert (day, second) == (await connection.execute(select(table))).one()
    with closing(sqlite3.connect(file)) as outside:
        found = outside.execute("SELECT d, s FROM t").fetchone()
    assert ("2024-02-29", "2024-02-29 01:02:03") == found


# --- factories of the driver's connection


def answer_bytes(connection: sqlite3.Connection) -> None:
    """Let text be bytes."""
    connection.text_factory = bytes


def answer_rows(connection: sqlite3.Connection) -> None:
    """Let rows be those of sqlite3."""
    connection.row_factory = sqlite3.Row


@with_stock("aiosqlite")
async def test_text_factory_is_used(driver: str, tmp_path: Path) -> None:
    """A connection that was told to give bytes gives bytes."""
    async with async_engine_on(driver, people(tmp_path, 2)) as engine:
        tell(engine.sync_engine, answer_bytes)
        async with engine.connect() as connection:
            assert [b"1", b"2"] == list(await connection.scalars(NAMES))


@with_stock("aiosqlite")
async def test_row_factory_is_used(driver: str, tmp_path: Path) -> None:
    """A connection that was told to give rows of sqlite3 goes on working."""
    async with async_engine_on(driver, people(tmp_path, 2)) as engine:
        tell(engine.sync_engine, answer_rows)
        async with engine.connect() as connection:
            row = (await connection.execute(NAMES)).first()
            assert row is not None
            assert "1" == row.name


@with_stock("aiosqlite")
async def test_connection_factory_is_used(driver: str, tmp_path: Path) -> None:
    """A class of one's own is the class of the driver's connection."""
    opened: list[str] = []

    class Mine(sqlite3.Connection):
        """Count what is opened."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            """Open, and note it."""
            super().__init__(*arguments, **named)
            opened.append("mine")

    file = people(tmp_path, 1)
    async with async_engine_on(driver, file, connect_args={"factory": Mine}) as engine:
        async with engine.connect() as connection:
            assert "1" == await connection.scalar(NAMES)
    assert ["mine"] == opened


@with_stock("aiosqlite")
async def test_regular_expressions_and_floors_are_there(
    driver: str, tmp_path: Path
) -> None:
    """SQLAlchemy's own functions are made on each connection."""
    statement = select(Person.name).where(Person.name.regexp_match("^[12]$"))
    async with async_engine_on(driver, people(tmp_path, 3)) as engine:
        async with engine.connect() as connection:
            assert ["1", "2"] == list(await connection.scalars(statement))
            assert 1 == await connection.scalar(select(func.floor(1.7, type_=Integer)))


@with_stock("aiosqlite")
async def test_default_of_the_database_is_fetched(driver: str, tmp_path: Path) -> None:
    """What the database fills in is returned with the row."""
    table = Table(
        "t",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("v", String, server_default="filled in"),
    )
    async with async_engine_on(driver, tmp_path / "file.db") as engine:
        async with engine.begin() as connection:
            await connection.execute(CreateTable(table))
            row = (await connection.execute(table.insert().returning(table))).one()
    assert (1, "filled in") == row

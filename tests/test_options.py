"""What the helpers tell each database: prepared without one."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal
from unittest.mock import MagicMock

import asyncpg
import psycopg
import pytest
import sqlalchemy
import sqlalchemy.orm
from sqlalchemy import (
    Column,
    Identity,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    event,
    func,
    text,
)
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    InvalidRequestError,
    OperationalError,
    ProgrammingError,
    ResourceClosedError,
)

from async_layers import (
    PostgreSQLOptions,
    SQLiteOptions,
    create_async_engine,
    create_engine,
    engine_scope,
    read,
    transaction,
    unit_of_work,
)
from async_layers._options import engine_arguments
from async_layers._rows import (
    batches,
    plan_copy,
    raise_as_sqlalchemy,
    require_table,
    same_columns,
)
from async_layers._transactions import plan_transaction, refuse_autocommit
from async_layers.patterns.tables import Account, Document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import BindParameter, ColumnElement, Connection

OPTIONS = (SQLiteOptions(), PostgreSQLOptions())


@pytest.mark.parametrize(
    ("url", "world", "expected"),
    [
        (
            "postgresql://h/d",
            "sync",
            {"application_name": "shop", "connect_timeout": 3},
        ),
        (
            "postgresql://h/d",
            "async",
            {"server_settings": {"application_name": "shop"}, "timeout": 2.5},
        ),
        (
            "postgresql+psycopg://h/d",
            "async",
            {"application_name": "shop", "connect_timeout": 3},
        ),
        ("mysql://h/d", "sync", {"program_name": "shop", "connect_timeout": 3}),
        ("mysql://h/d", "async", {"program_name": "shop", "connect_timeout": 3}),
        ("mariadb://h/d", "async", {"program_name": "shop", "connect_timeout": 3}),
        ("oracle://h/d", "sync", {"program": "shop", "tcp_connect_timeout": 2.5}),
        ("sqlite:///file.db", "sync", {}),
    ],
)
def test_portable_options_reach_each_driver(
    url: str, world: Literal["sync", "async"], expected: dict[str, object]
) -> None:
    """One option is told to each driver in its own words."""
    _, arguments = engine_arguments(url, world, "shop", 2.5, OPTIONS, {})
    assert expected == arguments["connect_args"]


def test_users_own_connect_args_win() -> None:
    """What the user passes to SQLAlchemy wins, key by key."""
    own = {"timeout": 9, "server_settings": {"jit": "off"}}
    _, arguments = engine_arguments(
        "postgresql://h/d",
        "async",
        "shop",
        2.5,
        OPTIONS,
        {"connect_args": own, "echo": True},
    )
    assert arguments == {
        "echo": True,
        "postgresql": PostgreSQLOptions(),
        "connect_args": {
            "timeout": 9,
            "server_settings": {"application_name": "shop", "jit": "off"},
        },
    }


def test_connect_args_that_are_no_mapping_are_refused() -> None:
    """Bad connect_args are refused in one sentence."""
    with pytest.raises(ArgumentError, match=r"seen 7; write a dictionary\.$"):
        create_engine("sqlite://", connect_args=7)


@pytest.mark.parametrize("open_", [create_engine, create_async_engine])
def test_name_of_an_application_is_a_text(open_: Callable[..., object]) -> None:
    """Anything else would be sent as its driver likes."""
    with pytest.raises(ArgumentError, match=r"seen 7; write a text\.$"):
        open_("postgresql://h/d", application_name=7)


@pytest.mark.parametrize("seconds", [0, -1])
def test_connect_timeout_is_above_zero(seconds: float) -> None:
    """A timeout of nothing is refused in one sentence."""
    with pytest.raises(ArgumentError, match="write a number of seconds above 0"):
        create_async_engine("sqlite://", connect_timeout=seconds)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SQLiteOptions(), ["wal", 1, 5000]),
        (
            SQLiteOptions(journal_mode="TRUNCATE", busy_timeout=0.25),
            ["truncate", 1, 250],
        ),
        (
            SQLiteOptions(foreign_keys=False, journal_mode=None, busy_timeout=None),
            ["delete", 0, 5000],
        ),
    ],
)
def test_sqlite_options_reach_each_connection(
    sqlite_url: str, options: SQLiteOptions, expected: list[object]
) -> None:
    """Each option is told to SQLite, and can be turned off."""
    with engine_scope(sqlite_url, sqlite=options) as engine, read(engine) as connection:
        told = [
            connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    assert expected == told


@pytest.mark.parametrize("open_", [create_engine, create_async_engine])
def test_sqlite_options_are_for_our_dialect(
    open_: Callable[..., object],
) -> None:
    """A stock dialect would not hear of them."""
    stock = {create_engine: "pysqlite", create_async_engine: "aiosqlite"}[open_]
    with pytest.raises(ArgumentError, match=r"write 'sqlite://', or leave it out\.$"):
        open_(f"sqlite+{stock}://", sqlite=SQLiteOptions(foreign_keys=False))


@pytest.mark.parametrize("open_", [create_engine, create_async_engine])
@pytest.mark.parametrize("url", ["postgresql://h/d", "postgresql+async_layers://h/d"])
def test_postgresql_options_reach_the_dialect(
    open_: Callable[..., Any], url: str
) -> None:
    """Each dialect of ours is told what it refuses."""
    options = PostgreSQLOptions(refuse_naive_datetimes=True)
    assert options == open_(url, postgresql=options).dialect.options


@pytest.mark.parametrize("open_", [create_engine, create_async_engine])
def test_postgresql_options_are_for_our_dialect(open_: Callable[..., object]) -> None:
    """A stock dialect would not hear of them."""
    options = PostgreSQLOptions(refuse_several_statements=False)
    with pytest.raises(ArgumentError, match="write 'postgresql://', or leave it out"):
        open_("postgresql+psycopg://h/d", postgresql=options)


@pytest.mark.parametrize("open_", [create_engine, create_async_engine])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_options_are_those_of_the_database(
    open_: Callable[..., object], database: str
) -> None:
    """What is no object of options is refused in one sentence."""
    with pytest.raises(ArgumentError, match=r"seen dict; write \w+Options"):
        open_(f"{database}://", **{database: {}})


@pytest.mark.parametrize("option", [field.name for field in fields(PostgreSQLOptions)])
def test_postgresql_option_is_true_or_false(option: str) -> None:
    """None is not taken for False."""
    with pytest.raises(ArgumentError, match=f"^{option}=None is refused: seen neither"):
        PostgreSQLOptions(**{option: None})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "read_only", "write", "expected"),
    [
        ("postgresql://h/d", True, False, {"postgresql_readonly": True}),
        ("postgresql://h/d", False, True, {}),
        ("sqlite://", True, False, {"sqlite_query_only": True}),
        ("sqlite://", False, True, {"sqlite_begin": "IMMEDIATE"}),
        ("mysql://h/d", True, False, {}),
    ],
)
def test_transaction_has_the_databases_own_options(
    url: str,
    read_only: bool,  # noqa: FBT001 - a parameter of the test
    write: bool,  # noqa: FBT001
    expected: dict[str, object],
) -> None:
    """Reading and writing are said as each database understands it."""
    for engine in (create_engine(url), create_async_engine(url)):
        plan = plan_transaction(
            engine, "SERIALIZABLE", read_only=read_only, write=write
        )
        assert {"isolation_level": "SERIALIZABLE"} | expected == plan.options


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://h/d", "SET TRANSACTION READ ONLY"),
        ("oracle://h/d", "SET TRANSACTION READ ONLY"),
        ("sqlite://", "None"),
        ("postgresql://h/d", "None"),
    ],
)
def test_read_only_is_a_statement_where_there_is_no_option(
    url: str, expected: str
) -> None:
    """MySQL and Oracle are told by the transaction's first statement."""
    engine = create_engine(url)
    plan = plan_transaction(engine, None, read_only=True, write=False)
    assert expected == str(plan.first)
    assert plan_transaction(engine, None, read_only=False, write=False).first is None


def test_transaction_in_autocommit_is_refused(sqlite_url: str) -> None:
    """Autocommit takes a transaction apart, wherever it is asked for."""
    engine = create_engine(sqlite_url)
    always = create_async_engine(sqlite_url, isolation_level="AUTOCOMMIT")
    option = engine.execution_options(isolation_level="AUTOCOMMIT")
    refused = pytest.raises(InvalidRequestError, match=r"write read\(engine\)")
    with refused, transaction(engine, isolation_level="AUTOCOMMIT"):
        pytest.fail("there is no transaction")
    with refused, transaction(option):
        pytest.fail("there is no transaction")
    with refused:
        plan_transaction(always, None, read_only=False, write=False)
    with transaction(option, isolation_level="SERIALIZABLE") as connection:
        connection.exec_driver_sql("SELECT 1")
    engine.dispose()


def test_reading_and_writing_exclude_each_other() -> None:
    """A transaction that only reads cannot ask for the write lock."""
    engine = create_engine("sqlite://")
    with pytest.raises(InvalidRequestError, match="write one of them"):
        plan_transaction(engine, None, read_only=True, write=True)


@pytest.mark.parametrize("option", ["read_only", "write"])
def test_engine_of_sqlalchemys_own_promises_nothing(option: str) -> None:
    """SQLite of an engine that is not ours does not know how to begin."""
    engine = sqlalchemy.create_engine("sqlite://")
    with pytest.raises(InvalidRequestError, match="write an engine of 'sqlite://'"):
        plan_transaction(
            engine, None, **{"read_only": False, "write": False, option: True}
        )


def test_unit_of_work_on_a_connection_has_no_options(sqlite_url: str) -> None:
    """The transaction of a connection is its owner's; the session's is not asked."""
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        factory = sqlalchemy.orm.sessionmaker(connection)
        with pytest.raises(InvalidRequestError, match="seen a session bound to Conn"):
            with unit_of_work(factory, read_only=True):
                pytest.fail("there is no option")
        with unit_of_work(factory) as session:
            assert 1 == session.scalar(text("SELECT 1"))
    engine.dispose()


def test_dialect_that_does_not_tell_autocommit_is_trusted(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A savepoint is not refused where nobody knows of autocommit."""

    def untold(_: object) -> bool:
        raise NotImplementedError

    engine = create_engine(sqlite_url)
    monkeypatch.setattr(engine.dialect, "detect_autocommit_setting", untold)
    with engine.connect() as connection:
        refuse_autocommit(connection)
    engine.dispose()


def test_connection_that_is_closed_is_left_to_sqlalchemy(sqlite_url: str) -> None:
    """What refuses its savepoint is `begin_nested()`."""
    engine = create_engine(sqlite_url)
    connection = engine.connect()
    connection.close()
    refuse_autocommit(connection)
    with pytest.raises(ResourceClosedError):
        connection.begin_nested()
    engine.dispose()


def table(class_: type[Account | Document]) -> Table:
    return require_table(class_.__table__, batch=1)


@pytest.fixture
def postgresql() -> Iterator[Connection]:
    """Return a connection that is never used: a COPY is planned without it."""
    engine = create_engine("postgresql://h/d")
    event.listen(engine, "do_connect", lambda *_: MagicMock())
    event.listen(engine, "engine_connect", lambda _: None)
    engine.dialect.initialize = lambda _: None  # type: ignore[method-assign]
    with engine.connect() as connection:
        yield connection


ROW = {"owner": "carl", "id": 3, "balance": 1}


def test_copy_names_its_columns(postgresql: Connection) -> None:
    """A COPY has the columns of the first row, in its order."""
    copy = plan_copy(postgresql, table(Account), ROW)
    assert copy is not None
    assert "COPY account (owner, id, balance) FROM STDIN" == copy.statement
    assert [("carl", 3, 1)] == list(copy.values([ROW]))


class Lower(TypeDecorator[str]):
    """A type that lets the server make its values small."""

    impl = String
    cache_ok = True

    def bind_expression(self, bindparam: BindParameter[str]) -> ColumnElement[str]:
        """Return the server's expression."""
        return func.lower(bindparam)


@pytest.mark.parametrize(
    "column",
    [
        Column("owner", Lower),
        Column("more", Integer, default=7),
        Column("owner", Integer, Identity(always=True)),
    ],
)
def test_what_only_an_insert_does_is_inserted(
    postgresql: Connection, column: Column[Any]
) -> None:
    """A COPY is not chosen where it would store something else."""
    rows = Table("rows", MetaData(), column)
    first = {"owner": 1} if column.name == "owner" else {}
    assert plan_copy(postgresql, rows, first) is None


def test_translated_schema_is_inserted(postgresql: Connection) -> None:
    """A COPY knows nothing of a schema_translate_map."""
    connection = postgresql.execution_options(schema_translate_map={None: "other"})
    assert plan_copy(connection, table(Account), ROW) is None


def test_column_that_the_table_does_not_have_is_refused(
    postgresql: Connection,
) -> None:
    """An unknown column is refused with the known ones."""
    with pytest.raises(ArgumentError, match=r"seen \['nam'\].*\['id', 'title'"):
        plan_copy(postgresql, table(Document), {"nam": 1})


def test_copy_is_for_postgresql_alone() -> None:
    """Other databases get an INSERT."""
    with engine_scope("sqlite://") as engine, engine.connect() as connection:
        assert plan_copy(connection, table(Document), {"id": 1}) is None


def test_what_is_no_table_is_refused() -> None:
    """Rows go into a table; a join is none."""
    with pytest.raises(ArgumentError, match=r"seen Join .*; write a Table"):
        require_table(table(Account).join(table(Document), Account.id == 1), batch=1)


def test_batch_of_nothing_is_refused() -> None:
    """A batch has at least one row."""
    with pytest.raises(ArgumentError, match="seen 0; write a number of rows above 0"):
        require_table(table(Account), batch=0)


def test_row_with_other_columns_is_refused() -> None:
    """All rows have the columns of the first, in any order."""
    rows = [ROW, dict(reversed(ROW.items())), {"id": 4}]
    seen = same_columns(rows, ROW)
    assert rows[:2] == [next(seen), next(seen)]
    with pytest.raises(ArgumentError, match=r"Row 3 is refused: seen .*\['id'\];"):
        next(seen)


def test_rows_come_in_batches() -> None:
    """All rows come, each batch but the last of the size."""
    rows = [{"id": n} for n in range(5)]
    assert [2, 2, 1] == [len(some) for some in batches(rows, 2)]


class Refused(Exception):  # noqa: N818
    """Stand for a driver's error."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Refused("23505"), IntegrityError),
        (Refused("22P02"), DataError),
        (Refused("25006"), InternalError),
        (Refused("57014"), OperationalError),
        (psycopg.ProgrammingError("no SQLSTATE"), ProgrammingError),
        (asyncpg.InterfaceError("no SQLSTATE"), InterfaceError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (LookupError(), LookupError),
    ],
)
def test_drivers_error_has_sqlalchemys_class(
    error: BaseException, expected: type[BaseException]
) -> None:
    """An error of COPY has the class that it has elsewhere."""
    with pytest.raises(expected) as caught:
        raise_as_sqlalchemy("COPY", error)
    assert expected is caught.type

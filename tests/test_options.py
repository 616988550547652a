"""What the helpers tell each database: prepared without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from sqlalchemy import Table, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError

from async_layers import SQLiteOptions, create_async_engine, create_engine
from async_layers._options import (
    engine_arguments,
    first_statement,
    refuse_autocommit,
    transaction_options,
)
from async_layers._rows import batches, plan_copy, raise_as_sqlalchemy, require_table
from async_layers.patterns.tables import Account, Document

if TYPE_CHECKING:
    from sqlalchemy import Dialect


def dialect(url: str) -> Dialect:
    return make_url(url).get_dialect()()


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
        ("mysql://h/d", "async", {"connect_timeout": 3}),
        ("mariadb://h/d", "async", {"connect_timeout": 3}),
        ("oracle://h/d", "sync", {"tcp_connect_timeout": 2.5}),
        ("sqlite:///file.db", "sync", {}),
    ],
)
def test_portable_options_reach_each_driver(
    url: str, world: Literal["sync", "async"], expected: dict[str, object]
) -> None:
    """One option is told to each driver in its own words."""
    _, arguments = engine_arguments(url, world, "shop", 2.5, {})
    assert {"connect_args": expected} == arguments


def test_users_own_connect_args_win() -> None:
    """What the user passes to SQLAlchemy wins, key by key."""
    own = {"timeout": 9, "server_settings": {"jit": "off"}}
    _, arguments = engine_arguments(
        "postgresql://h/d", "async", "shop", 2.5, {"connect_args": own, "echo": True}
    )
    assert arguments == {
        "echo": True,
        "connect_args": {
            "timeout": 9,
            "server_settings": {"application_name": "shop", "jit": "off"},
        },
    }


def test_connect_args_that_are_no_mapping_are_refused() -> None:
    """Bad connect_args are refused in one sentence."""
    with pytest.raises(ArgumentError, match=r"seen 7; write a dictionary\.$"):
        create_engine("sqlite://", connect_args=7)


@pytest.mark.parametrize("seconds", [0, -1])
def test_connect_timeout_is_above_zero(seconds: float) -> None:
    """A timeout of nothing is refused in one sentence."""
    with pytest.raises(ArgumentError, match="write a number of seconds above 0"):
        create_async_engine("sqlite://", connect_timeout=seconds)


def test_sqlite_options_become_pragmas() -> None:
    """Each option is one statement, the timeout first, and can be turned off."""
    assert [
        "PRAGMA busy_timeout = 250",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA foreign_keys = ON",
    ] == SQLiteOptions(journal_mode="DELETE", busy_timeout=0.25).pragmas()
    nothing = SQLiteOptions(foreign_keys=False, journal_mode=None, busy_timeout=None)
    assert not nothing.pragmas()


@pytest.mark.parametrize(
    ("url", "read_only", "write", "expected"),
    [
        ("postgresql+psycopg://", True, False, {"postgresql_readonly": True}),
        ("postgresql+asyncpg://", False, True, {}),
        ("sqlite://", True, False, {"sqlite_query_only": True}),
        ("sqlite://", False, True, {"sqlite_begin": "IMMEDIATE"}),
        ("mysql+pymysql://", True, False, {}),
    ],
)
def test_transaction_has_the_databases_own_options(
    url: str,
    read_only: bool,  # noqa: FBT001 - a parameter of the test
    write: bool,  # noqa: FBT001
    expected: dict[str, object],
) -> None:
    """Reading and writing are said as each database understands it."""
    found = transaction_options(
        dialect(url), "SERIALIZABLE", read_only=read_only, write=write
    )
    assert {"isolation_level": "SERIALIZABLE"} | expected == found


def test_transaction_in_autocommit_is_refused() -> None:
    """Autocommit takes a transaction apart; the sentence says what to write."""
    with pytest.raises(InvalidRequestError, match=r"write read\(engine\)"):
        transaction_options(
            dialect("sqlite://"), "AUTOCOMMIT", read_only=False, write=False
        )


def test_reading_and_writing_exclude_each_other() -> None:
    """A transaction that only reads cannot ask for the write lock."""
    with pytest.raises(InvalidRequestError, match="write one of them"):
        transaction_options(dialect("sqlite://"), None, read_only=True, write=True)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql+pymysql://", "SET TRANSACTION READ ONLY"),
        ("oracle+oracledb://", "SET TRANSACTION READ ONLY"),
        ("sqlite://", "None"),
        ("postgresql+psycopg://", "None"),
    ],
)
def test_read_only_is_a_statement_where_there_is_no_option(
    url: str, expected: str
) -> None:
    """MySQL and Oracle are told by the transaction's first statement."""
    assert expected == str(first_statement(dialect(url), read_only=True))
    assert first_statement(dialect(url), read_only=False) is None


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


def table(class_: type[Account | Document]) -> Table:
    return require_table(class_.__table__)


def test_copy_names_its_columns_and_processes_values() -> None:
    """A COPY has the columns of the first row, and values as the driver wants them."""
    row = {"owner": "carl", "id": 3, "balance": 1}
    copy = plan_copy(dialect("postgresql+psycopg://"), table(Account), row)
    assert copy is not None
    assert "COPY account (owner, id, balance) FROM STDIN" == copy.statement
    assert [("carl", 3, 1)] == list(copy.values([row]))
    with pytest.raises(ArgumentError, match=r"Row 2 is refused: seen the columns"):
        list(copy.values([row, {"id": 4}]))


def test_column_that_the_table_does_not_have_is_refused() -> None:
    """An unknown column is refused with the known ones."""
    with pytest.raises(ArgumentError, match=r"seen \['nam'\].*\['id', 'title'"):
        plan_copy(dialect("sqlite://"), table(Document), {"nam": 1})


def test_copy_is_for_postgresql_alone() -> None:
    """Other databases get an INSERT."""
    assert plan_copy(dialect("sqlite://"), table(Document), {"id": 1}) is None


def test_what_is_no_table_is_refused() -> None:
    """Rows go into a table; a join is none."""
    with pytest.raises(ArgumentError, match=r"seen Join .*; write a Table"):
        require_table(table(Account).join(table(Document), onclause=Account.id == 1))


def test_rows_come_in_batches() -> None:
    """All rows come, each batch but the last of the size."""
    rows = [{"id": n} for n in range(5)]
    assert [2, 2, 1] == [len(some) for some in batches(rows, 2)]


class Refused(Exception):  # noqa: N818
    """Stand for a driver's error."""

    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("23505", "IntegrityError"),
        ("22P02", "DataError"),
        ("25006", "InternalError"),
        ("57014", "OperationalError"),
        (None, "Refused"),
    ],
)
def test_drivers_error_has_sqlalchemys_class(
    sqlstate: str | None, expected: str
) -> None:
    """An error of COPY has the class that its SQLSTATE has elsewhere."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the class is compared
        raise_as_sqlalchemy("COPY", Refused(sqlstate))
    assert expected == type(caught.value).__name__

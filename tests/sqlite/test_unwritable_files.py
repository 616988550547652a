"""Files that are damaged, or may only be read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from async_layers import SQLiteOptions, create_engine, engine_scope
from tests.sqlite._dialects import OURS
from tests.sqlite._hostile import (
    ADD,
    DAMAGES,
    IDS,
    PAGE,
    as_nobody,
    engine_in,
    files_in,
    ids,
    made,
    overwritten,
    seen,
)
from tests.sqlite._processes import told_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from tests.sqlite._hostile import Seen

ROWS = range(1, 31)  # so many that they need several pages
VALUES = text("SELECT v FROM t")

both_journals = pytest.mark.parametrize("journal", ["WAL", "DELETE"])
damages = pytest.mark.parametrize(("damage", "expected"), DAMAGES)


# --- damaged


@damages
@both_journals
def test_damaged_file_is_an_error_of_the_connection(
    journal: str,
    damage: Callable[[Path], None],
    expected: Seen,
    tmp_path: Path,
) -> None:
    """What is no database is refused when it is opened, in SQLite's words."""
    file = made(tmp_path / "folder", journal, *ROWS)
    damage(file)
    with engine_in(journal, OURS, file) as engine:
        with pytest.raises(DBAPIError) as caught:
            engine.connect()
    assert expected == seen(caught.value)


@both_journals
def test_pool_opens_a_file_that_has_been_mended(journal: str, tmp_path: Path) -> None:
    """A connection that could not be opened takes no place in the pool."""
    file = made(tmp_path, journal, 1)
    whole = file.read_bytes()
    overwritten(file, 0, 16)
    with engine_in(journal, OURS, file) as engine:
        for _ in range(20):
            with pytest.raises(DatabaseError):
                engine.connect()
        file.write_bytes(whole)
        with engine.begin() as connection:
            connection.execute(ADD, {"id": 2})
    assert [1, 2] == ids(file)


@both_journals
def test_damaged_page_is_an_error_of_the_statement(
    journal: str, tmp_path: Path
) -> None:
    """Rows that cannot be read are an error where they are read."""
    file = made(tmp_path, journal, *ROWS)
    overwritten(file, 3 * PAGE, 5 * PAGE)
    with engine_in(journal, OURS, file) as engine, engine.connect() as connection:
        with pytest.raises(DatabaseError) as caught:
            connection.execute(VALUES)
    assert seen(caught.value) == (
        "DatabaseError",
        "database disk image is malformed",
        "SQLITE_CORRUPT",
    )


@both_journals
def test_rows_beside_a_damaged_page_can_be_read(journal: str, tmp_path: Path) -> None:
    """After the error the connection reads what is whole."""
    file = made(tmp_path, journal, *ROWS)
    overwritten(file, 3 * PAGE, 5 * PAGE)
    with engine_in(journal, OURS, file) as engine:
        with engine.connect() as connection:
            with pytest.raises(DatabaseError):
                connection.execute(VALUES)
        with engine.connect() as connection:
            first = connection.execute(text("SELECT id FROM t WHERE id = 1"))
            assert 1 == first.scalar()


# --- read, and not written


@both_journals
def test_file_that_is_opened_for_reading_is_not_written(
    journal: str, tmp_path: Path
) -> None:
    """With `mode=ro` SQLite refuses to write, and the transaction can be read on."""
    file = made(tmp_path, journal, 1)
    with engine_scope(f"sqlite:///file:{file}?mode=ro&uri=true") as engine:
        with engine.connect() as connection:
            with pytest.raises(OperationalError) as caught:
                connection.execute(ADD, {"id": 2})
            assert [1] == list(connection.scalars(IDS))
    assert seen(caught.value) == (
        "OperationalError",
        "attempt to write a readonly database",
        "SQLITE_READONLY",
    )


@pytest.mark.parametrize("journal", ["WAL", "DELETE", "TRUNCATE", "PERSIST"])
@pytest.mark.parametrize("asked_for", ["WAL", "DELETE", "TRUNCATE", "PERSIST"])
def test_file_that_is_opened_for_reading_keeps_its_journal(
    asked_for: Any, journal: str, tmp_path: Path
) -> None:
    """Whatever journal the engine asks for, the file is read with the one it has."""
    file = made(tmp_path, journal, 1)
    options = SQLiteOptions(journal_mode=asked_for)
    url = f"sqlite:///file:{file}?mode=ro&uri=true"
    with engine_scope(url, sqlite=options) as engine:
        with engine.connect() as connection:
            assert [1] == list(connection.scalars(IDS))


# --- without the right to write


def read_and_write(path: str) -> dict[str, object]:
    """Say what an ordinary user gets who reads, writes and reads again."""
    engine = create_engine("sqlite://")
    tell(engine)
    engine.dispose()
    as_nobody()  # all modules that are needed have been imported by now
    told = dict[str, object]()
    for file in files_in(path):
        engine = create_engine(f"sqlite:///{file}")
        told[file.parent.name] = tell(engine)
        engine.dispose()
    return told


def tell(engine: Engine) -> list[list[int] | Seen]:
    told: list[list[int] | Seen] = []
    for statement in (IDS, ADD, IDS):
        try:
            with engine.begin() as connection:
                result = connection.execute(statement, {"id": 2})
                told.append(list(result.scalars()))
        except DBAPIError as error:
            told.append(seen(error))
    return told


@pytest.fixture(scope="module")
def without_right() -> Iterator[dict[str, object]]:
    """Return what an ordinary user gets in folders that any user may enter."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        for journal in ("WAL", "DELETE"):
            restricted(made(place / f"{journal} file", journal, 1), 0o444, 0o777)
            restricted(made(place / f"{journal} folder", journal, 1), 0o666, 0o555)
        yield told_by(read_and_write, place)
        for folder in place.iterdir():
            folder.chmod(0o777)


def restricted(file: Path, mode: int, folder_mode: int) -> None:
    """Take rights to a file, or to its folder, from all users."""
    file.chmod(mode)
    file.parent.chmod(folder_mode)


@both_journals
def test_file_without_the_right_to_write_is_read(
    journal: str, without_right: dict[str, object]
) -> None:
    """Who may only read a file reads it, and gets SQLite's error for writing."""
    read_only = "attempt to write a readonly database"
    assert without_right[f"{journal} file"] == [
        [1],
        ["OperationalError", read_only, "SQLITE_READONLY"],
        [1],
    ]


def test_folder_without_the_right_to_write_is_read(
    without_right: dict[str, object],
) -> None:
    """A file whose folder takes no journal is read, and not written."""
    read_only = "attempt to write a readonly database"
    assert without_right["DELETE folder"] == [
        [1],
        ["OperationalError", read_only, "SQLITE_READONLY_DIRECTORY"],
        [1],
    ]


def test_folder_without_the_right_to_write_has_no_log(
    without_right: dict[str, object],
) -> None:
    """A file in WAL mode cannot even be read where its log cannot be made.

    Source: https://sqlite.org/wal.html, "Read-Only Databases".
    """
    read_only = "attempt to write a readonly database"
    error = ["OperationalError", read_only, "SQLITE_READONLY_DIRECTORY"]
    assert without_right["WAL folder"] == [error, error, error]

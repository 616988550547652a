"""Reading one's own writes on a standby, whose replay is held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, DataError, InvalidRequestError
from sqlalchemy.exc import OperationalError as Refused
from sqlalchemy.util import greenlet_spawn

from async_layers import (
    StandbyBehindError,
    async_transaction,
    async_wait_for_position,
    async_wal_position,
    create_async_engine,
    create_engine,
    transaction,
    wait_for_position,
    wal_position,
)
from tests.postgresql import _faults
from tests.postgresql._dialects import OURS, OURS_ASYNC
from tests.postgresql._faults import BOUND
from tests.postgresql._standby import open_both

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._dialects import Side
    from tests.postgresql._standby import Both, Replicated

frozen, quiet = _faults.frozen, _faults.quiet

COUNT = text("SELECT count(*) FROM written")
FAR = "FF/0"  # further than any server of ours has come


@pytest.fixture(params=[OURS, OURS_ASYNC])
def driver(request: pytest.FixtureRequest) -> str:
    """Return the names of our dialects in turn."""
    named: str = request.param
    return named


@pytest.fixture
def both(driver: str, pair: Replicated) -> Iterator[Both]:
    """Return the engines of one world, and an empty table on both servers."""
    pair.on_primary("CREATE TABLE written (id int)")
    with open_both(driver, pair.url) as found:
        found.read_after(found.position(), COUNT, BOUND, on=found.reading)
        yield found
    pair.on_primary("DROP TABLE written")


def write(both: Both, *first: str) -> None:
    """Write a row, and commit."""

    def body(connection: Connection) -> None:
        for statement in first:
            connection.execute(text(statement))
        connection.execute(text("INSERT INTO written VALUES (1)"))
        connection.commit()

    both.primary.run(body)


def wait(side: Side, level: str, position: str) -> None:
    """Wait for a position in a transaction of a level."""

    async def asyncio(engine: AsyncEngine) -> None:
        async with async_transaction(engine, isolation_level=level) as connection:  # type: ignore[arg-type]
            await async_wait_for_position(connection, position)

    def blocking(engine: Engine) -> None:
        with transaction(engine, isolation_level=level) as connection:  # type: ignore[arg-type]
            wait_for_position(connection, position)

    if side.runner is None:
        side.on_engine(blocking)
    else:
        side.drive(asyncio)


def test_own_write_is_read_after_its_position(both: Both) -> None:
    """What was committed before the position was asked for is seen."""
    found = list[object]()
    for _ in range(20):
        write(both)
        position = both.position()
        found.append(both.read_after(position, COUNT, BOUND, on=both.reading))
    assert list(range(1, 21)) == found


def test_own_write_is_not_read_from_a_standby_behind(
    both: Both, pair: Replicated
) -> None:
    """The error says both positions, and the standby, let go, shows the write."""
    with pair.held_back() as before:
        write(both)
        position = both.position()
        with pytest.raises(StandbyBehindError) as caught:
            both.read_after(position, COUNT, 0.01, on=both.reading)
        stale = both.reading.run(lambda one: one.scalar(COUNT))
    assert 0 == stale
    assert (position, before) == (caught.value.position, caught.value.replayed)
    assert (
        f"A read is refused: seen a standby at {before} after 0.01 seconds and not "
        f"yet at {position}; read from the primary, or wait for longer."
    ) == str(caught.value)
    assert 1 == both.read_after(position, COUNT, BOUND, on=both.reading)


def test_nobody_waits_who_gives_no_time(both: Both) -> None:
    """0 seconds are one look."""
    with pytest.raises(TimeoutError, match="after 0 seconds"):
        both.read_after(FAR, COUNT, 0, on=both.reading)


def test_primary_is_not_waited_for(both: Both) -> None:
    """It has what it has, whatever the position."""
    assert 0 == both.read_after(FAR, COUNT, 0, on=both.primary)


def test_commit_that_did_not_wait_for_the_disk_is_in_the_position(
    driver: str, pair: Replicated, both: Both
) -> None:
    """With synchronous_commit=off, the log is asked for what was not flushed yet."""
    pair.on_primary("ALTER ROLE postgres SET synchronous_commit = off")
    try:
        with open_both(driver, pair.url) as hasty:
            write(hasty)
            position = hasty.position()
            found = hasty.read_after(position, COUNT, BOUND, on=hasty.reading)
    finally:
        pair.on_primary("ALTER ROLE postgres RESET synchronous_commit")
    assert 1 == found
    both.read_after(both.position(), COUNT, BOUND, on=both.reading)


def test_standby_has_no_position_to_ask_for(both: Both) -> None:
    """PostgreSQL says so: its log is the primary's."""
    both.engines = both.engines._replace(primary=both.engines.reading)  # type: ignore[arg-type]
    both.primary = both.reading
    with pytest.raises(Refused) as caught:
        both.position()
    assert "55000" == getattr(caught.value.orig, "sqlstate", None)


def test_text_that_is_no_position_is_refused(both: Both) -> None:
    """PostgreSQL says so."""
    with pytest.raises(DataError) as caught:
        both.read_after("yesterday", COUNT, BOUND, on=both.reading)
    assert "22P02" == getattr(caught.value.orig, "sqlstate", None)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
def test_transaction_that_sees_what_is_new_may_wait(both: Both, level: str) -> None:
    """One that goes on seeing what its first statement saw must not."""
    position = both.position()
    if level == "READ COMMITTED":
        wait(both.reading, level, position)
        return
    with pytest.raises(InvalidRequestError) as caught:
        wait(both.reading, level, position)
    assert (
        "wait_for_position() is refused: seen a transaction in 'repeatable read', "
        "which sees nothing of what is replayed after its first statement; wait on a "
        "connection of read(), or in READ COMMITTED."
    ) == str(caught.value)


def test_autocommit_may_wait_whatever_the_level(driver: str, pair: Replicated) -> None:
    """Each of its statements sees anew."""
    pair.on_primary(
        "ALTER ROLE postgres SET default_transaction_isolation = 'serializable'"
    )
    try:
        with open_both(driver, pair.primary.url) as both:
            found = both.read_after(FAR, text("SELECT 1"), 0, on=both.reading)
    finally:
        pair.on_primary("ALTER ROLE postgres RESET default_transaction_isolation")
    assert 1 == found


@pytest.mark.parametrize("seconds", [-1, "1"])
def test_time_to_wait_is_a_number(both: Both, seconds: float) -> None:
    """Anything else is refused before the server is asked."""
    with pytest.raises(ArgumentError, match="within is refused"):
        both.read_after(FAR, COUNT, seconds, on=both.reading)


def test_another_database_has_no_positions() -> None:
    """Each function says so, and what to write."""
    engine = create_engine("sqlite://")
    message = (
        r"is refused: seen 'sqlite', whose standbys it does not know; "
        r"write an engine of 'postgresql://'\.$"
    )
    with pytest.raises(InvalidRequestError, match=rf"^wal_position\(\) {message}"):
        wal_position(engine)
    with (
        pytest.raises(InvalidRequestError, match=rf"^wait_for_position\(\) {message}"),
        engine.connect() as connection,
    ):
        wait_for_position(connection, FAR)
    engine.dispose()


async def test_another_database_has_no_positions_under_asyncio() -> None:
    """Each function says so."""
    engine = create_async_engine("sqlite://")
    with pytest.raises(InvalidRequestError, match="seen 'sqlite'"):
        await async_wal_position(engine)
    with pytest.raises(InvalidRequestError, match="seen 'sqlite'"):
        async with engine.connect() as connection:
            await async_wait_for_position(connection, FAR)
    await greenlet_spawn(engine.sync_engine.dispose)

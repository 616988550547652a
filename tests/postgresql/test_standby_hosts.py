"""Which of several hosts an engine finds, and what its engines are told."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import ArgumentError, InvalidRequestError, OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from async_layers import create_async_engine, create_async_engines, create_engines
from async_layers._hosts import connect_to_any
from async_layers._replicas import plan_engines
from tests.postgresql import _faults
from tests.postgresql._dialects import ASYNCPG, OURS, OURS_ASYNC, PSYCOPG, Side
from tests.postgresql._faults import connect, raised
from tests.postgresql._servers import (
    close_after_greeting,
    refuse_with,
    say_nothing,
    server,
)
from tests.postgresql._standby import Both, open_both

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from tests.postgresql._standby import Replicated

frozen, quiet = _faults.frozen, _faults.quiet

IS_STANDBY = select(func.pg_is_in_recovery())


def before(first: str, url: str) -> str:
    """Return the URL of a server, with another one before it."""
    hosts = ",".join(f"127.0.0.1:{make_url(each).port}" for each in (first, url))
    return f"postgresql://postgres@{hosts}/postgres"


@pytest.fixture
def closed() -> Iterator[str]:
    """Return the URL of a port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"postgresql://127.0.0.1:{taken.getsockname()[1]}"


def standing(both: Both) -> object:
    """Say whether the server that is written to is a standby."""
    return both.primary.run(lambda one: one.scalar(IS_STANDBY))


# --- one host after the other


def test_host_that_says_nothing_is_given_up(pair: Replicated) -> None:
    """It takes its own time alone, not that of the next host."""
    with server(say_nothing) as silent:
        url = before(silent, pair.primary.url)
        with open_both(OURS_ASYNC, url, connect_timeout=0.2) as both:
            assert False is standing(both)


def test_asyncpg_gives_one_time_to_all_hosts(pair: Replicated) -> None:
    """Which is why each is tried by itself."""
    with server(say_nothing) as silent:
        plan = plan_engines(before(silent, pair.primary.url), "async", {})

        async def body() -> None:
            engine = create_async_engine(plan.url, connect_timeout=0.2)
            with pytest.raises(OperationalError, match="no answer in the time"):
                await engine.connect()
            await engine.dispose()

        asyncio.run(body())


@pytest.mark.parametrize("driver", [OURS, OURS_ASYNC])
def test_host_that_refuses_is_passed(
    driver: str, closed: str, pair: Replicated
) -> None:
    """As one whose primary has ended."""
    with open_both(driver, before(closed, pair.primary.url)) as both:
        assert False is standing(both)


@pytest.mark.parametrize("driver", [OURS, OURS_ASYNC])
def test_host_that_is_starting_is_passed(driver: str, pair: Replicated) -> None:
    """As one whose primary is on its way up, or down."""
    with server(refuse_with("57P03")) as starting:
        with open_both(driver, before(starting, pair.primary.url)) as both:
            assert False is standing(both)


@pytest.mark.parametrize("driver", [OURS, OURS_ASYNC])
def test_host_that_closes_is_passed(driver: str, pair: Replicated) -> None:
    """As a balancer that has no server left takes a client, and lets it go."""
    with server(close_after_greeting) as empty:
        with open_both(driver, before(empty, pair.primary.url)) as both:
            assert False is standing(both)


def test_host_that_knows_no_such_user_is_not_passed(pair: Replicated) -> None:
    """It is as good as the others, and so is its answer."""
    with server(refuse_with("28000")) as strict:
        with open_both(OURS_ASYNC, before(strict, pair.primary.url)) as both:
            error = raised(both.primary.on_engine, connect)
    assert "28000" == getattr(error.orig, "sqlstate", None)


@pytest.mark.parametrize("driver", [OURS, OURS_ASYNC])
def test_no_host_that_writes_is_an_error(
    driver: str, closed: str, pair: Replicated
) -> None:
    """It names each host, and says what is wrong with it."""
    with open_both(driver, before(closed, pair.standby.url)) as both:
        error = raised(both.primary.on_engine, connect)
    assert "OperationalError" == type(error).__name__
    assert f"{make_url(closed).port}" in str(error)
    assert f"{pair.standby.port}" in str(error)


async def test_error_says_what_was_seen(closed: str, pair: Replicated) -> None:
    """One sentence of three parts."""
    ports = [make_url(closed).port or 0, pair.standby.port]
    with pytest.raises(ConnectionError) as caught:
        await connect_to_any(
            host=["127.0.0.1"] * 2,
            port=ports,
            user="postgres",
            target_session_attrs="read-write",
        )
    words = str(caught.value)
    assert words.startswith(f"No host is 'read-write': seen 127.0.0.1:{ports[0]} (")
    assert words.endswith("; start one, promote one, or name one that is.")


# --- other drivers of the same worlds


@pytest.mark.parametrize("driver", [ASYNCPG, PSYCOPG])
def test_other_drivers_of_asyncio_follow(driver: str, pair: Replicated) -> None:
    """They have `target_session_attrs` and the SQLSTATE, which is all it takes."""
    url = pair.url.replace("postgresql:", f"postgresql+{driver}:")

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()
        return raised(
            connection.exec_driver_sql, "CREATE TABLE never ()"
        ).connection_invalidated

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        engines = create_async_engines(url)
        both = Both(driver, engines, runner)
        stands = [
            side.run(lambda one: one.scalar(IS_STANDBY))
            for side in (both.primary, both.reading)
        ]
        invalidated = Side(driver, engines.primary, runner).run(body)
        for engine in engines:
            runner.run(engine.dispose())
    assert ([False, True], True) == (stands, invalidated)


# --- what the engines are told


def test_arguments_are_for_both_engines() -> None:
    """But for what tells them apart."""
    url = "postgresql://h/d"
    plan = plan_engines(url, "sync", {"echo": True, "connect_args": {"keepalives": 1}})
    common: dict[str, Any] = {"echo": True, "connect_timeout": 5.0}
    follows = {"async_layers_follows_promotion": True}
    told = {"keepalives": 1}
    write = {**told, "target_session_attrs": "read-write"}
    reads = {**told, "target_session_attrs": "prefer-standby"}
    assert plan == (
        url,
        {**common, "connect_args": write, "execution_options": follows},
        {
            **common,
            "connect_args": reads,
            "pool_recycle": 300,
            "execution_options": {"postgresql_readonly": True},
        },
    )


def test_users_own_arguments_win() -> None:
    """Also in the URL, and the driver's own spelling of them."""
    own = {"postgresql_readonly": False}
    plan = plan_engines(
        "postgresql://h/d",
        "async",
        {
            "connect_args": {"timeout": 1, "async_creator_fn": len},
            "pool_recycle": 7,
            "execution_options": own,
        },
    )
    in_url = plan_engines("postgresql://h/d?connect_timeout=3", "async", {})
    connect_args = plan.reading["connect_args"]
    assert {
        "timeout": 1,
        "async_creator_fn": len,
        "target_session_attrs": "prefer-standby",
    } == connect_args
    assert (7, own) == (plan.reading["pool_recycle"], plan.reading["execution_options"])
    assert "connect_timeout" not in plan.primary
    assert "connect_timeout" not in in_url.primary


def test_pools_are_two() -> None:
    """A class of pools is good for both engines."""
    engines = create_engines("postgresql://h/d", poolclass=NullPool)
    assert [NullPool, NullPool] == [type(engine.pool) for engine in engines]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://user:p%40ss@one:5433,two/app?sslmode=require",
            "postgresql://user:p%40ss@/app?host=one,two&port=5433,5432&sslmode=require",
        ),
        (
            "postgresql://[::1]:5433,[::2]:5434/app",
            "postgresql:///app?host=::1,::2&port=5433,5434",
        ),
        (
            "postgresql://one,two:5433/app",
            "postgresql:///app?host=one,two&port=5432,5433",
        ),
        ("postgresql://one,two/app", "postgresql://one,two/app"),
        ("postgresql://one:1/app?x=a:1,b", "postgresql://one:1/app?x=a:1,b"),
    ],
)
def test_hosts_of_libpq_are_read(url: str, expected: str) -> None:
    """Where SQLAlchemy finds a port that is no number, they are spread."""
    assert make_url(expected) == make_url(plan_engines(url, "sync", {}).url)


@pytest.mark.parametrize("open_", [create_engines, create_async_engines])
@pytest.mark.parametrize(
    ("name", "value"),
    [("creator", len), ("pool", QueuePool(lambda: None))],  # type: ignore[arg-type, return-value]
)
def test_one_of_it_is_not_enough(
    open_: Callable[..., object], name: str, value: object
) -> None:
    """Two engines would have the same connections."""
    message = f"^{name} is refused: seen one of it for two engines, which are connected"
    with pytest.raises(ArgumentError, match=message):
        open_("postgresql://h/d", **{name: value})


@pytest.mark.parametrize("open_", [create_engines, create_async_engines])
def test_attributes_of_a_session_are_not_the_users(
    open_: Callable[..., object],
) -> None:
    """They are what the two engines differ by."""
    message = "^target_session_attrs='any' is refused: seen two engines"
    with pytest.raises(ArgumentError, match=message):
        open_("postgresql://h/d?target_session_attrs=any")
    with pytest.raises(ArgumentError, match=message):
        open_("postgresql://h/d", connect_args={"target_session_attrs": "any"})


@pytest.mark.parametrize("open_", [create_engines, create_async_engines])
def test_another_database_has_no_standbys(open_: Callable[..., object]) -> None:
    """The error says so."""
    with pytest.raises(InvalidRequestError, match=r"^create_engines\(\) is refused"):
        open_("sqlite://")

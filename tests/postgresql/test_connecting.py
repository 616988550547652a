"""Connections that cannot be opened: an OperationalError, whatever the reason."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError

from tests.postgresql import _faults, _servers
from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    OURS,
    OURS_ASYNC,
    on,
    open_async_engine,
    open_engine,
    open_side,
    wrong_on,
)
from tests.postgresql._faults import Seen, connect, counts, failure, raised
from tests.postgresql._proxy import Proxy
from tests.postgresql._servers import connecting, server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Engine


frozen, quiet = _faults.frozen, _faults.quiet

BARE = "what is no PostgresError is not wrapped"
CLASSES = "an error has the class of its SQLSTATE, which often is none"

FAILED = Seen("OperationalError", None)


# --- the network


@wrong_on(ASYNCPG, BARE)
def test_a_port_without_a_server_is_an_operational_error(driver: str) -> None:
    """A connection that is refused has no SQLSTATE."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert FAILED == connecting(driver, f"postgresql://u@127.0.0.1:{port}/d")


@wrong_on(ASYNCPG, BARE)
def test_a_host_without_an_address_is_an_operational_error(driver: str) -> None:
    """A name that cannot be resolved is no error of the system's."""
    assert FAILED == connecting(driver, "postgresql://u@no-such-host.invalid/d")


@wrong_on(ASYNCPG, BARE)
def test_a_socket_that_is_not_there_is_an_operational_error(
    driver: str, tmp_path: Path
) -> None:
    """A folder without the server's unix socket is no error of the system's."""
    assert FAILED == connecting(driver, f"postgresql://u@/d?host={tmp_path}")


@wrong_on(ASYNCPG, BARE)
@pytest.mark.parametrize(
    "answer",
    [
        _servers.close,
        _servers.close_after_greeting,
        _servers.reset_after_greeting,
        _servers.speak_http,
        _servers.break_off,
    ],
)
def test_a_server_that_is_none_is_an_operational_error(
    driver: str, answer: Callable[[socket.socket], None]
) -> None:
    """Whatever ends the conversation before it begins has no SQLSTATE."""
    with server(answer) as url:
        assert FAILED == connecting(driver, url)


@wrong_on(ASYNCPG, BARE, among=ASYNCIO)
def test_a_server_that_says_nothing_is_an_operational_error(driver: str) -> None:
    """A connection that takes longer than its timeout is given up."""
    with server(_servers.say_nothing) as url:
        assert FAILED == connecting(driver, url, connect_args={"timeout": 0.1})


@on(OURS)
def test_connect_timeout_is_psycopgs_own(driver: str) -> None:
    """The driver bounds a server's silence, in no less than two seconds."""
    told = dict[str, object]()

    def open_(_: object, __: object, ___: object, arguments: Any) -> None:
        told.update(arguments)
        raise LookupError

    engine = open_engine(driver, "postgresql://u@h/d", connect_timeout=2)
    event.listen(engine, "do_connect", open_)
    with pytest.raises(LookupError):
        engine.connect()
    assert 2 == told["connect_timeout"]


@on(OURS_ASYNC)
def test_connect_timeout_is_asyncios_too(driver: str) -> None:
    """`create_async_engine(connect_timeout=...)` bounds a server's silence."""
    with server(_servers.say_nothing) as url:
        assert FAILED == connecting(driver, url, connect_timeout=0.1)


@wrong_on(ASYNCPG, CLASSES)
@pytest.mark.parametrize("after", [0, 1, 9, 60, 300])
def test_an_answer_that_is_cut_is_an_operational_error(
    driver: str, postgresql_url: str, after: int
) -> None:
    """It makes no difference after how many bytes the connection is lost."""
    with Proxy(postgresql_url) as proxy:
        proxy.cut(after=after)
        assert FAILED == connecting(driver, proxy.url)


@wrong_on(ASYNCPG, CLASSES)
@pytest.mark.parametrize("after", [600, 900])
def test_a_connection_that_is_lost_while_it_is_set_up_is_an_operational_error(
    driver: str, postgresql_url: str, after: int
) -> None:
    """What the dialect asks a new connection may fail; the next connection works."""

    def body(engine: Engine) -> object:
        return failure(connect, engine).kind, connect(engine), counts(engine)

    with Proxy(postgresql_url) as proxy, open_side(driver, proxy.url) as side:
        proxy.cut(after=after)
        assert ("OperationalError", 1, (1, 0)) == side.on_engine(body)


@wrong_on(ASYNCPG, BARE)
def test_an_engine_works_when_the_server_is_back(
    driver: str, postgresql_url: str
) -> None:
    """A connection that was refused leaves the engine as it was."""

    def body(engine: Engine) -> object:
        proxy.refuse()
        found = [failure(connect, engine) for _ in range(2)]
        proxy.heal()
        return [*found, connect(engine), counts(engine)]

    with Proxy(postgresql_url) as proxy, open_side(driver, proxy.url) as side:
        assert [FAILED, FAILED, 1, (1, 0)] == side.on_engine(body)


@wrong_on(ASYNCPG, BARE)
def test_an_error_of_connecting_says_why(driver: str) -> None:
    """`str(error)` has the cause in its words."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with open_side(driver, f"postgresql://u@127.0.0.1:{port}/d") as side:
        error = side.on_engine(lambda engine: raised(connect, engine))
    assert f"{port}" in str(error)


@on(OURS_ASYNC)
def test_the_cause_of_an_error_of_connecting_is_kept(driver: str) -> None:
    """`driver_exception` is what asyncpg let through."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with open_side(driver, f"postgresql://u@127.0.0.1:{port}/d") as side:
        error = side.on_engine(lambda engine: raised(connect, engine))
    assert ConnectionRefusedError is type(error.driver_exception)


@pytest.mark.parametrize(
    ("driver", "error"), [(ASYNCPG, TypeError), (OURS_ASYNC, ArgumentError)]
)
def test_an_argument_that_asyncpg_does_not_know_is_no_error_of_the_database(
    driver: str, error: type[Exception], postgresql_url: str
) -> None:
    """It is the program's, and ours says what to write instead."""
    arguments = {"connect_args": {"connect_timeout": 1}}
    with open_side(driver, postgresql_url, **arguments) as side:
        with pytest.raises(error, match="connect_timeout"):
            side.on_engine(connect)


@on(OURS, OURS_ASYNC)
async def test_error_of_a_programs_own_way_to_connect_is_its_own(driver: str) -> None:
    """What no driver raised is raised as it is."""

    def refuse() -> Any:
        raise LookupError

    async def refuse_later() -> Any:
        refuse()

    url = "postgresql://u@h/d"
    with pytest.raises(LookupError):
        if driver == OURS:
            open_engine(driver, url, creator=refuse).connect()
        else:
            engine = open_async_engine(driver, url, async_creator=refuse_later)
            await engine.connect()

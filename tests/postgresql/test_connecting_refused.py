"""Connections that the server refuses: an OperationalError, with its SQLSTATE."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

from tests.postgresql import _faults, _servers
from tests.postgresql._dialects import (
    ASYNCPG,
    BLOCKING,
    OURS,
    OURS_ASYNC,
    PSYCOPG,
    on,
    open_side,
    wrong_on,
)
from tests.postgresql._faults import Seen, connect, raised
from tests.postgresql._servers import connecting, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg


frozen, quiet = _faults.frozen, _faults.quiet

CLASSES = "an error has the class of its SQLSTATE, which often is none"

_NUMBERS = itertools.count(1)


def refused(driver: str, sqlstate: str) -> Seen:
    """Return what a refusal looks like: libpq, below psycopg, keeps no SQLSTATE."""
    return Seen("OperationalError", None if driver in BLOCKING else sqlstate)


@pytest.fixture
def role(observer: psycopg.Connection[Any]) -> Iterator[Callable[[str], str]]:
    """Return what makes a role with options; it is dropped afterwards."""
    made = list[str]()

    def make(options: str) -> str:
        name = f"al_role_{observer.info.backend_pid}_{next(_NUMBERS)}"
        observer.execute(f"CREATE ROLE {name} {options}".encode())
        made.append(name)
        return name

    yield make
    for name in made:
        observer.execute(f"DROP ROLE {name}".encode())


def url_of(url: str, **parts: Any) -> str:
    """Return a URL with other parts."""
    return make_url(url).set(**parts).render_as_string(hide_password=False)


@wrong_on(ASYNCPG, CLASSES)
def test_a_database_that_is_not_there_is_an_operational_error(
    driver: str, postgresql_url: str
) -> None:
    """The server answers 3D000, which is no ProgrammingError here."""
    url = url_of(postgresql_url, database="nowhere")
    assert refused(driver, "3D000") == connecting(driver, url)


@wrong_on(ASYNCPG, CLASSES)
def test_a_role_that_is_not_there_is_an_operational_error(
    driver: str, postgresql_url: str
) -> None:
    """The server answers 28000."""
    url = url_of(postgresql_url, username="nobody")
    assert refused(driver, "28000") == connecting(driver, url)


@wrong_on(ASYNCPG, CLASSES)
def test_a_role_that_may_not_log_in_is_an_operational_error(
    driver: str, postgresql_url: str, role: Callable[[str], str]
) -> None:
    """The server answers 28000."""
    url = url_of(postgresql_url, username=role("NOLOGIN"))
    assert refused(driver, "28000") == connecting(driver, url)


@wrong_on(ASYNCPG, CLASSES)
def test_a_connection_too_many_is_an_operational_error(
    driver: str, postgresql_url: str, role: Callable[[str], str]
) -> None:
    """The server answers 53300."""
    url = url_of(postgresql_url, username=role("LOGIN CONNECTION LIMIT 0"))
    assert refused(driver, "53300") == connecting(driver, url)


@wrong_on(ASYNCPG, CLASSES)
def test_a_setting_that_is_not_there_is_an_operational_error(
    driver: str, postgresql_url: str
) -> None:
    """The server answers 42704, which is no ProgrammingError here."""
    options = {"options": "-c nowhere=1"}
    settings = {"server_settings": {"nowhere": "1"}}
    arguments = options if driver in BLOCKING else settings
    found = connecting(driver, postgresql_url, connect_args=arguments)
    assert refused(driver, "42704") == found


@wrong_on(ASYNCPG, CLASSES)
def test_a_server_of_another_kind_is_an_operational_error(
    driver: str, postgresql_url: str
) -> None:
    """A primary is not what asks for a standby; no server says so."""
    arguments = {"connect_args": {"target_session_attrs": "standby"}}
    found = connecting(driver, postgresql_url, **arguments)
    assert Seen("OperationalError", None) == found


@on(PSYCOPG, OURS, OURS_ASYNC)
def test_a_server_without_encryption_is_an_operational_error(driver: str) -> None:
    """sslmode=require is not weakened."""
    with server(_servers.say_no) as url:
        found = connecting(driver, f"{url}?sslmode=require")
    assert Seen("OperationalError", None) == found


@wrong_on(ASYNCPG, CLASSES)
@pytest.mark.parametrize("sqlstate", ["57P03", "28P01", "42501", "XX000", "0A000"])
def test_every_refusal_is_an_operational_error(driver: str, sqlstate: str) -> None:
    """Starting up, a wrong password, a missing right: the class is always the same."""
    with server(_servers.refuse_with(sqlstate)) as url:
        assert refused(driver, sqlstate) == connecting(driver, url)


def test_a_refusal_says_what_the_server_said(driver: str) -> None:
    """`str(error)` holds the server's words."""
    with server(_servers.refuse_with("57P03")) as url:
        with open_side(driver, url) as side:
            error = side.on_engine(lambda engine: raised(connect, engine))
    assert "no luck today" in str(error)


@on(OURS_ASYNC)
def test_diag_tells_of_a_refusal(driver: str) -> None:
    """What the server said is at hand by psycopg's names."""
    with server(_servers.refuse_with("57P03")) as url:
        with open_side(driver, url) as side:
            error: Any = side.on_engine(lambda engine: raised(connect, engine))
    said = error.orig.diag
    expected = ("FATAL", "57P03", "no luck today", None)
    assert expected == (
        said.severity,
        said.sqlstate,
        said.message_primary,
        said.message_detail,
    )

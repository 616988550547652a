"""What `pooler=` tells each driver, and what it refuses; no server is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
from sqlalchemy.exc import ArgumentError

from async_layers import (
    PostgreSQLOptions,
    SQLiteOptions,
    create_async_engine,
    create_engine,
)
from async_layers._options import engine_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "postgresql://h/d"
ASYNCPG = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
PSYCOPG = {"prepare_threshold": None}


def told(
    url: str, world: Literal["sync", "async"], **connect_args: object
) -> dict[str, object]:
    """Return what a driver is told behind a PgBouncer."""
    _, known = engine_arguments(
        url,
        world,
        None,
        None,
        (SQLiteOptions(), PostgreSQLOptions()),
        {"connect_args": connect_args},
        "pgbouncer",
    )
    return cast("dict[str, object]", known["connect_args"])


@pytest.mark.parametrize(
    ("url", "world", "expected"),
    [
        (URL, "sync", PSYCOPG),
        (URL, "async", ASYNCPG),
        ("postgresql+psycopg://h/d", "async", PSYCOPG),
        ("postgresql+asyncpg://h/d", "async", ASYNCPG),
    ],
)
def test_each_driver_is_told_to_prepare_nothing(
    url: str, world: Literal["sync", "async"], expected: dict[str, object]
) -> None:
    """One word stands for each driver's own."""
    assert expected == told(url, world)


def test_caches_that_are_off_may_be_said_again() -> None:
    """In the URL, or as arguments."""
    off = "?prepared_statement_cache_size=0&statement_cache_size=0"
    assert ASYNCPG == told(URL + off, "async", **ASYNCPG)
    assert PSYCOPG == told(URL, "sync", **PSYCOPG)


@pytest.mark.parametrize(
    "settings", [{"application_name": "shop", "TimeZone": "Asia/Tokyo"}, {}, None]
)
def test_settings_that_are_handed_on_pass(settings: dict[str, str] | None) -> None:
    """PgBouncer sets them again before each transaction."""
    found = told(URL, "async", server_settings=settings)
    assert {**ASYNCPG, "server_settings": settings} == found


def test_name_of_an_application_passes() -> None:
    """In the URL and as an argument, in either world."""
    url = f"{URL}?application_name=shop"
    create_engine(url, pooler="pgbouncer", application_name="shop")
    create_async_engine(url, pooler="pgbouncer", application_name="shop")


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (f"{URL}?options=-c%20jit%3Doff", "options='-c jit=off'"),
        (f"{URL}?statement_cache_size=5", "statement_cache_size=5"),
        (
            f"{URL}?prepared_statement_cache_size=5",
            "prepared_statement_cache_size='5'",
        ),
    ],
)
def test_url_that_asyncpg_cannot_keep_is_refused(url: str, seen: str) -> None:
    """What the URL says is no better than what an argument says."""
    with pytest.raises(ArgumentError) as caught:
        create_async_engine(url, pooler="pgbouncer")
    assert str(caught.value).startswith(f"{seen} is refused: seen pooler='pgbouncer'")


@pytest.mark.parametrize("key", ["options=-c%20jit%3Doff", "prepare_threshold=5"])
def test_url_that_psycopg_cannot_keep_is_refused(key: str) -> None:
    """What the URL says is no better than what an argument says."""
    with pytest.raises(ArgumentError, match="is refused: seen pooler='pgbouncer'"):
        create_engine(f"{URL}?{key}", pooler="pgbouncer")


_LOST = "the next transaction would not find what it prepares; leave it out."
_UNSUPPORTED = "it takes no such startup parameter; write SET LOCAL in the transaction."


@pytest.mark.parametrize(
    ("world", "connect_args", "seen", "rest"),
    [
        ("sync", {"prepare_threshold": 0}, "prepare_threshold=0", _LOST),
        ("sync", {"options": "-c jit=off"}, "options='-c jit=off'", _UNSUPPORTED),
        ("async", {"statement_cache_size": 1}, "statement_cache_size=1", _LOST),
        (
            "async",
            {"prepared_statement_name_func": str},
            f"prepared_statement_name_func={str!r}",
            "statements would stay prepared under its names; leave it out.",
        ),
        ("async", {"server_settings": {"jit": "off"}}, "jit='off'", _UNSUPPORTED),
    ],
)
def test_argument_that_would_go_wrong_is_refused(
    world: Literal["sync", "async"],
    connect_args: dict[str, object],
    seen: str,
    rest: str,
) -> None:
    """The error says what was refused, why, and what to write."""
    with pytest.raises(ArgumentError) as caught:
        told(URL, world, **connect_args)
    expected = f"{seen} is refused: seen pooler='pgbouncer', where {rest}"
    assert expected == str(caught.value)


@pytest.mark.parametrize(
    ("open_", "argument"),
    [(create_engine, "creator"), (create_async_engine, "async_creator")],
)
def test_creator_is_refused(open_: Callable[..., object], argument: str) -> None:
    """It would be called without the arguments that make it right."""
    creator: dict[str, Any] = {argument: object}
    with pytest.raises(ArgumentError, match=f"{argument} is refused: seen pooler"):
        open_(URL, pooler="pgbouncer", **creator)


@pytest.mark.parametrize(
    ("url", "pooler", "message"),
    [
        (
            URL,
            "odyssey",
            (
                "pooler='odyssey' is refused: seen no pooler that is known; "
                "write 'pgbouncer', or leave it out."
            ),
        ),
        (
            "sqlite://",
            "pgbouncer",
            (
                "pooler='pgbouncer' is refused: seen 'sqlite', which PgBouncer does "
                "not speak; write 'postgresql://', or leave it out."
            ),
        ),
        (
            "postgresql+pg8000://h/d",
            "pgbouncer",
            (
                "pooler='pgbouncer' is refused: seen 'postgresql+pg8000', of which "
                "nobody has tested what it prepares; write 'postgresql://', or leave "
                "it out."
            ),
        ),
    ],
)
def test_unknown_ground_is_refused(
    url: str, pooler: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another pooler, another database, another driver."""
    monkeypatch.setattr("async_layers._urls.prepare.find_spec", lambda _: object())
    with pytest.raises(ArgumentError) as caught:
        create_engine(url, pooler=cast("Any", pooler))
    assert message == str(caught.value)

"""What an engine tells its driver behind a pooler, and what it refuses there; no I/O.

PgBouncer in transaction mode may give each transaction another connection of the
server, which knows neither what the last one prepared nor what it set.
Source: https://www.pgbouncer.org/features.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import URL

    from async_layers._urls.prepare import Prepared

Pooler: TypeAlias = Literal["pgbouncer"]

# Nothing is prepared that has a name. asyncpg has a cache of its own below
# SQLAlchemy's; either one is enough to go wrong.
_PRESETS: Mapping[str, Mapping[str, object]] = {
    "asyncpg": {"statement_cache_size": 0, "prepared_statement_cache_size": 0},
    "psycopg": {"prepare_threshold": None},
}
# Settings that it hands on with each transaction (`track_extra_parameters`).
_KEPT = frozenset(
    {
        "application_name",
        "client_encoding",
        "datestyle",
        "standard_conforming_strings",
        "timezone",
    }
)
_OFF = (None, 0, "0", "")


def behind_pooler(
    pooler: Pooler,
    prepared: Prepared,
    connect_args: Mapping[str, object],
    arguments: Mapping[str, object],
) -> dict[str, object]:
    """Return the connect arguments that are right behind a pooler, or refuse some.

    `arguments` are those of the engine.
    """
    url, driver = prepared.url, prepared.driver
    _require_known(pooler, url, driver)
    for creator in ("creator", "async_creator"):
        if arguments.get(creator) is not None:
            raise ArgumentError(
                f"{creator} is refused: seen pooler='pgbouncer', whose connect "
                "arguments it would not get; write a URL, or leave the pooler out."
            )
    for key, value in _given(url, connect_args):
        _refuse_prepared(key, value)
        _refuse_settings(key, value)
    return {**connect_args, **_PRESETS[driver]}


def _require_known(pooler: object, url: URL, driver: str) -> None:
    if pooler != "pgbouncer":
        raise ArgumentError(
            f"pooler={pooler!r} is refused: seen no pooler that is known; "
            "write 'pgbouncer', or leave it out."
        )
    if url.get_backend_name() != "postgresql":
        raise ArgumentError(
            f"pooler='pgbouncer' is refused: seen {url.get_backend_name()!r}, which "
            "PgBouncer does not speak; write 'postgresql://', or leave it out."
        )
    if driver not in _PRESETS:
        raise ArgumentError(
            f"pooler='pgbouncer' is refused: seen {url.drivername!r}, of which nobody "
            "has tested what it prepares; write 'postgresql://', or leave it out."
        )


def _given(
    url: URL, connect_args: Mapping[str, object]
) -> Iterator[tuple[str, object]]:
    """Go through what is said in the URL, in asyncpg's DSN and as arguments."""
    yield from url.query.items()
    yield from connect_args.items()
    dsn = connect_args.get("dsn")
    if isinstance(dsn, str):
        yield from parse_qsl(urlsplit(dsn).query)


def _refuse_prepared(key: str, value: object) -> None:
    """Refuse what prepares under a name; a threshold of 0 does so at once."""
    if key == "prepared_statement_name_func" and value is not None:
        _refuse(key, value, "statements would stay prepared under its names")
    threshold = key == "prepare_threshold" and value is not None
    if threshold or (key in _PRESETS["asyncpg"] and value not in _OFF):
        _refuse(key, value, "the next transaction would not find what it prepares")


def _refuse_settings(key: str, value: object) -> None:
    """Refuse settings with which PgBouncer refuses a client."""
    if key == "options" and value:
        _refuse(key, value, _UNSUPPORTED, _LOCAL)
    if key == "server_settings" and value:
        for name, setting in cast("Mapping[str, object]", value).items():
            if name.lower() not in _KEPT:
                _refuse(name, setting, _UNSUPPORTED, _LOCAL)


_UNSUPPORTED = "it takes no such startup parameter"
_LOCAL = "write SET LOCAL in the transaction"


def _refuse(key: str, value: object, why: str, instead: str = "leave it out") -> None:
    raise ArgumentError(
        f"{key}={value!r} is refused: seen pooler='pgbouncer', where {why}; {instead}."
    )

"""What an engine of either world tells its driver; no I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from sqlalchemy.exc import ArgumentError

from async_layers._sqlite import DEFAULTS, is_ours, require_options
from async_layers._urls.prepare import prepare_url

if TYPE_CHECKING:
    from sqlalchemy import URL

    from async_layers._sqlite import SQLiteOptions
    from async_layers._urls.prepare import World


def engine_arguments(  # noqa: PLR0913, PLR0917 - what an engine can be given
    url: str | URL,
    world: World,
    application_name: str | None,
    connect_timeout: float | None,
    sqlite: SQLiteOptions,
    arguments: Mapping[str, object],
) -> tuple[URL, dict[str, object]]:
    """Return the URL and the arguments for SQLAlchemy's function; the user's win."""
    prepared = prepare_url(url, world)
    connect_args = _merged(
        prepared.connect_args,
        _application_name(prepared.url, application_name),
        _connect_timeout(prepared.url, connect_timeout),
        _mapping(arguments.get("connect_args")),
    )
    own = _sqlite(prepared.url, sqlite)
    return prepared.url, {**arguments, **own, "connect_args": connect_args}


def _sqlite(url: URL, options: SQLiteOptions) -> dict[str, SQLiteOptions]:
    """Hand SQLite's options to the dialect that knows them."""
    require_options(options)
    if url.get_backend_name() != "sqlite":
        return {}
    if is_ours("sqlite", url.get_driver_name()):
        return {"sqlite": options}
    if options != DEFAULTS:
        raise ArgumentError(
            f"sqlite={options!r} is refused: seen {url.drivername!r}, a dialect that "
            "knows nothing of it; write 'sqlite://', or leave it out."
        )
    return {}


def _mapping(value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentError(
            f"connect_args is refused: seen {value!r}; write a dictionary."
        )
    return cast("Mapping[str, object]", value)


def _merged(*mappings: Mapping[str, object]) -> dict[str, object]:
    """Merge, the last wins; asyncpg's server_settings are merged key by key."""
    merged = dict[str, object]()
    for mapping in mappings:
        for key, value in mapping.items():
            if key == "server_settings" and key in merged:
                merged[key] = {**_mapping(merged[key]), **_mapping(value)}
            else:
                merged[key] = value
    return merged


def _application_name(url: URL, name: str | None) -> dict[str, object]:
    """Name the application to the server, in the driver's own words."""
    if name is None:
        return {}
    driver = url.get_driver_name()
    if driver == "asyncpg":
        return {"server_settings": {"application_name": name}}
    if url.get_backend_name() == "postgresql":
        return {"application_name": name}
    if driver in {"pymysql", "aiomysql", "asyncmy"}:
        return {"program_name": name}
    return {"program": name} if driver == "oracledb" else {}


def _connect_timeout(url: URL, seconds: float | None) -> dict[str, object]:
    """Bound the wait for a connection, in the driver's own words."""
    if seconds is None:
        return {}
    if seconds <= 0:
        raise ArgumentError(
            f"connect_timeout is refused: seen {seconds!r}; "
            "write a number of seconds above 0, or leave it out."
        )
    if url.get_driver_name() == "asyncpg":
        return {"timeout": seconds}
    whole = math.ceil(seconds)
    words: dict[str, dict[str, object]] = {
        "postgresql": {"connect_timeout": whole},
        "mysql": {"connect_timeout": whole},
        "mariadb": {"connect_timeout": whole},
        "oracle": {"tcp_connect_timeout": seconds},
    }
    return words.get(url.get_backend_name(), {})

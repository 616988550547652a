"""What an engine of either world tells its driver; no I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from sqlalchemy.exc import ArgumentError

from async_layers import _postgresql, _sqlite
from async_layers._pooler import behind_pooler
from async_layers._urls.prepare import prepare_url

if TYPE_CHECKING:
    from sqlalchemy import URL

    from async_layers._pooler import Pooler
    from async_layers._postgresql import PostgreSQLOptions
    from async_layers._sqlite import SQLiteOptions
    from async_layers._urls.prepare import Prepared, World


def engine_arguments(  # noqa: PLR0913, PLR0917 - what an engine can be given
    url: str | URL,
    world: World,
    application_name: str | None,
    connect_timeout: float | None,
    options: tuple[SQLiteOptions, PostgreSQLOptions],
    arguments: Mapping[str, object],
    pooler: Pooler | None = None,
) -> tuple[URL, dict[str, object]]:
    """Return the URL and the arguments for SQLAlchemy's function; the user's win."""
    prepared = prepare_url(url, world)
    connect_args = _merged(
        prepared.connect_args,
        _application_name(prepared, application_name),
        _connect_timeout(prepared, connect_timeout),
        require_mapping(arguments.get("connect_args")),
    )
    if pooler is not None:
        connect_args = behind_pooler(pooler, prepared, connect_args, arguments)
    own = _own(prepared.url, *options)
    return prepared.url, {**arguments, **own, "connect_args": connect_args}


def _own(
    url: URL, sqlite: SQLiteOptions, postgresql: PostgreSQLOptions
) -> dict[str, object]:
    """Hand a database's options to the dialect that knows them."""
    database, driver = url.get_backend_name(), url.get_driver_name()
    ours = _sqlite.is_ours(database, driver) or _postgresql.is_ours(database, driver)
    named = {
        "sqlite": (_sqlite.require_options(sqlite), _sqlite.DEFAULTS),
        "postgresql": (_postgresql.require_options(postgresql), _postgresql.DEFAULTS),
    }
    if database not in named:
        return {}
    options, defaults = named[database]
    if ours:
        return {database: options}
    if options != defaults:
        raise ArgumentError(
            f"{database}={options!r} is refused: seen {url.drivername!r}, a dialect "
            f"that knows nothing of it; write '{database}://', or leave it out."
        )
    return {}


def require_mapping(value: object) -> Mapping[str, object]:
    """Return connect arguments, none of them for None, or refuse what they are not."""
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
                merged[key] = {**require_mapping(merged[key]), **require_mapping(value)}
            else:
                merged[key] = value
    return merged


def _application_name(prepared: Prepared, name: str | None) -> dict[str, object]:
    """Name the application to the server, in the driver's own words."""
    if name is None:
        return {}
    if not isinstance(cast("object", name), str):
        raise ArgumentError(
            f"application_name is refused: seen {name!r}; write a text."
        )
    driver = prepared.driver
    if driver == "asyncpg":
        return {"server_settings": {"application_name": name}}
    if prepared.url.get_backend_name() == "postgresql":
        return {"application_name": name}
    if driver in {"pymysql", "aiomysql", "asyncmy"}:
        return {"program_name": name}
    return {"program": name} if driver == "oracledb" else {}


def require_seconds(name: str, seconds: object, *, or_none: bool = False) -> None:
    """Refuse what is no time to wait; `or_none`: not to wait is one."""
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    value = cast("float", seconds)
    if (
        not number
        or not math.isfinite(value)
        or value < 0
        or (value == 0 and not or_none)
    ):
        raise ArgumentError(
            f"{name} is refused: seen {seconds!r}; write a number of seconds "
            f"{'from' if or_none else 'above'} 0, or leave it out."
        )


def _connect_timeout(prepared: Prepared, seconds: float | None) -> dict[str, object]:
    """Bound the wait for a connection, in the driver's own words."""
    if seconds is None:
        return {}
    require_seconds("connect_timeout", seconds)
    if prepared.driver == "asyncpg":
        return {"timeout": seconds}
    whole = math.ceil(seconds)
    words: dict[str, dict[str, object]] = {
        "postgresql": {"connect_timeout": whole},
        "mysql": {"connect_timeout": whole},
        "mariadb": {"connect_timeout": whole},
        "oracle": {"tcp_connect_timeout": seconds},
    }
    return words.get(prepared.url.get_backend_name(), {})

"""What the engines of a primary and of its standbys are told; no I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import event, make_url
from sqlalchemy.exc import ArgumentError

from async_layers._hosts import connect_to_any
from async_layers._options import require_mapping
from async_layers._positions import require_postgresql
from async_layers._urls.prepare import prepare_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.engine import ExceptionContext

    from async_layers._urls.prepare import World

_SECONDS = 5.0  # for each host
_RECYCLE = 300  # seconds
_READ_ONLY = "25006"
# https://www.postgresql.org/docs/current/libpq-status.html, PQparameterStatus.
_STATUS = ("in_hot_standby", "default_transaction_read_only")
_FOLLOWS = "async_layers_follows_promotion"  # an execution option, told to no driver


class Plan(NamedTuple):
    """The URL of all hosts, and what each of the two engines is told."""

    url: str | URL
    primary: dict[str, object]
    reading: dict[str, object]


def plan_engines(url: str | URL, world: World, arguments: Mapping[str, object]) -> Plan:
    """Return what the engines of a primary and of its standbys are told.

    Raises `ArgumentError` for what would send both to the same server.
    """
    url = _spread(url) if isinstance(url, str) else url
    prepared = prepare_url(url, world)
    require_postgresql("create_engines()", prepared.url.get_backend_name())
    given = require_mapping(arguments.get("connect_args"))
    told = {**prepared.url.query, **prepared.connect_args, **given}
    _refuse_one_for_two(arguments, told)
    known = dict(arguments)
    if not {"connect_timeout", "timeout"} & told.keys():
        known = {"connect_timeout": _SECONDS, **known}
    if prepared.driver == "asyncpg":
        given = {"async_creator_fn": connect_to_any, **given}
    write, read = (
        {**known, "connect_args": {**given, "target_session_attrs": wanted}}
        for wanted in ("read-write", "prefer-standby")
    )
    options = require_mapping(arguments.get("execution_options"))
    write["execution_options"] = {_FOLLOWS: True, **options}
    read["execution_options"] = {"postgresql_readonly": True, **options}
    return Plan(url, write, {"pool_recycle": _RECYCLE, **read})


def _refuse_one_for_two(
    arguments: Mapping[str, object], told: Mapping[str, object]
) -> None:
    for name in ("creator", "async_creator", "pool"):
        if arguments.get(name) is not None:
            raise ArgumentError(
                f"{name} is refused: seen one of it for two engines, which are "
                "connected to different servers; leave it out."
            )
    if "target_session_attrs" in told:
        raise ArgumentError(
            f"target_session_attrs={told['target_session_attrs']!r} is refused: seen "
            "two engines, each of which has its own; leave it out, or write an engine "
            "for it alone."
        )


# libpq's URL of several hosts, in which SQLAlchemy's finds no port.
_SEVERAL = re.compile(
    r"([^:/?#]+://(?:[^/?#]*@)?)((?=[^/?#@]*:\d)[^/?#@]*,[^/?#@]*)(.*)", re.DOTALL
)
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")


def _spread(url: str) -> URL | str:
    """Return a URL of several hosts and ports as SQLAlchemy's own spelling has it."""
    several = _SEVERAL.fullmatch(url)
    if several is None:
        return url
    front, authority, rest = several.groups()
    found = [_HOST.fullmatch(each) for each in authority.split(",")]
    hosts = [each.group(1).strip("[]") for each in found if each]
    ports = [each.group(2) or "5432" for each in found if each]
    return make_url(f"{front}{rest}").update_query_dict(
        {"host": ",".join(hosts), "port": ",".join(ports)}
    )


def follow_promotion(engine: Engine) -> None:
    """Have an engine leave a server that refuses to write, for the one that does not.

    A pool keeps connections for as long as they answer. Those of a primary that was
    demoted answer, with SQLSTATE 25006: all are closed, and opened anew they look for
    the primary.
    """
    event.listen(engine, "handle_error", _leave_demoted)


def _leave_demoted(context: ExceptionContext) -> None:
    connection = context.connection
    if connection is not None:
        error = context.original_exception
        context.is_disconnect |= is_demoted(connection, error)


def is_demoted(connection: Connection, error: BaseException) -> bool:
    """Say whether an error means that a connection is no primary's any more.

    It does not where READ ONLY is what was asked for, by an option or by a statement.
    """
    if getattr(error, "sqlstate", None) != _READ_ONLY:
        return False
    options = connection.get_execution_options()
    follows = options.get(_FOLLOWS) and not options.get("postgresql_readonly")
    return bool(follows) and not _takes_writes(connection.connection.driver_connection)


def _takes_writes(driver: Any) -> bool:  # noqa: ANN401 - psycopg's, asyncpg's
    """Say whether the server says so of itself, as it does since version 14."""
    if hasattr(driver, "get_settings"):
        settings = driver.get_settings()
        return all(getattr(settings, name, None) == "off" for name in _STATUS)
    return all(driver.info.parameter_status(name) == "off" for name in _STATUS)

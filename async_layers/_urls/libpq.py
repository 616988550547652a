"""Say in asyncpg's terms what a PostgreSQL URL says in libpq's.

psycopg hands the keys of a URL to libpq.  asyncpg knows most of them, but
only inside its own DSN, and there it sends a key that it does not know to the
server as a setting.  SQLAlchemy passes them as arguments, where they are a
``TypeError``.  So the keys that asyncpg knows travel in a DSN that holds
nothing else, and the others are refused unless asyncpg behaves that way
anyway.  https://www.postgresql.org/docs/current/libpq-connect.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlencode

from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.engine import URL

    Query: TypeAlias = dict[str, str | tuple[str, ...]]

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# TLS in asyncpg's DSN, each with libpq's meaning.
_TLS = frozenset(
    {
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslpassword",
        "sslcrl",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
    }
)

# `options` and `application_name` are startup parameters of the protocol:
# the server reads them, escapes included, as it does from libpq.
_DSN = _TLS | {"sslnegotiation", "service", "application_name", "options"}

# Arguments of asyncpg and of SQLAlchemy's dialect that are text, or that
# SQLAlchemy converts.  `ssl` takes the values of `sslmode`.
_ARGUMENTS = frozenset(
    {
        "host",
        "port",
        "user",
        "password",
        "database",
        "passfile",
        "servicefile",
        "ssl",
        "target_session_attrs",
        "krbsrvname",
        "gsslib",
        "prepared_statement_cache_size",
    }
)

# Arguments of asyncpg that are numbers, which text in a URL is not.
_NUMBERS: Mapping[str, Callable[[str], float]] = {
    "timeout": float,
    "command_timeout": float,
    "statement_cache_size": int,
    "max_cached_statement_lifetime": int,
    "max_cacheable_statement_size": int,
}

# Keys of libpq that asyncpg lacks, and the values it behaves as anyway.
_BEHAVES_AS: Mapping[str, frozenset[str]] = {
    "channel_binding": frozenset({"disable", "prefer"}),
    "client_encoding": frozenset({"utf8", "utf-8"}),
    "gssdelegation": frozenset({"0"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "hostaddr": frozenset(),
    "keepalives": frozenset({"0"}),
    "keepalives_count": frozenset({"0"}),
    "keepalives_idle": frozenset({"0"}),
    "keepalives_interval": frozenset({"0"}),
    "load_balance_hosts": frozenset({"disable"}),
    "max_protocol_version": frozenset({"3.0", "3.2", "latest"}),
    "min_protocol_version": frozenset({"3.0"}),
    "replication": frozenset({"false", "off", "no", "0"}),
    "require_auth": frozenset(),
    "requirepeer": frozenset(),
    "sslcertmode": frozenset({"allow"}),
    "sslcompression": frozenset({"0"}),
    "sslcrldir": frozenset(),
    "sslkeylogfile": frozenset(),
    "sslsni": frozenset({"1"}),
    "tcp_user_timeout": frozenset({"0"}),
}


def to_libpq(url: URL) -> URL:
    """Return the URL with asyncpg's ``ssl`` as libpq's ``sslmode``.

    Raises ``ArgumentError`` for a mode that neither knows.
    """
    if "ssl" not in url.query:
        return url
    mode = _mode(dict(url.query))
    return url.difference_update_query(["ssl"]).update_query_dict({"sslmode": mode})


def to_asyncpg(url: URL) -> tuple[URL, dict[str, object]]:
    """Return the URL for SQLAlchemy's asyncpg dialect, and the connect arguments.

    The mode of TLS stays in the URL, as asyncpg's ``ssl``, so that a copy of
    ``engine.url`` never verifies less.  ``connect_timeout`` covers the whole
    attempt, since asyncpg has no timeout for each host.  With
    ``sslrootcert=system`` asyncpg reads no ``PGSSL*`` variable.  Raises
    ``ArgumentError`` for a key that asyncpg cannot do.
    """
    query = {key: value for key, value in url.query.items() if value != ""}
    arguments: dict[str, object] = {}
    if mode := _mode(query):
        query["ssl"] = mode
    _system_certificates(query, arguments)
    _direct_tls(query)
    _multiple_hosts(url, query)
    _numbers(query, arguments)
    if fallback := _take(query, "fallback_application_name"):
        query.setdefault("application_name", fallback)
    if dsn := {key: _take(query, key) for key in sorted(_DSN) if key in query}:
        arguments["dsn"] = f"postgresql://?{urlencode(dsn)}"
    database = _take(query, "dbname") or url.database
    _drop_what_holds_anyway(query)
    return url._replace(database=database).set(query=query), arguments


def _take(query: Query, key: str) -> str:
    value = query.pop(key, "")
    if isinstance(value, tuple):
        raise ArgumentError(f"{key!r} stands in the URL more than once; write it once.")
    return value


def _mode(query: Query) -> str:
    # `ssl` is asyncpg's name for `sslmode`; either works in both worlds.
    modes = {mode for key in ("sslmode", "ssl") if (mode := _take(query, key))}
    if modes <= {*_MODES} and len(modes) <= 1:
        return "".join(modes)
    raise ArgumentError(
        f"sslmode={' and '.join(sorted(modes))!r} is not a mode of PostgreSQL; "
        f"write one of {', '.join(_MODES)}."
    )


def _system_certificates(query: Query, arguments: dict[str, object]) -> None:
    # asyncpg takes the word for the name of a file.  Its `ssl=True` is what
    # libpq means: the system's certificates, and the name of the host.
    if query.get("sslrootcert") != "system":
        return
    if query.setdefault("ssl", "verify-full") != "verify-full":
        raise ArgumentError(
            f"sslrootcert=system with sslmode={query['ssl']!r} accepts any host "
            "that bought a certificate; write sslmode=verify-full."
        )
    if others := sorted(_TLS.intersection(query) - {"sslrootcert"}):
        raise ArgumentError(
            f"asyncpg cannot join sslrootcert=system and {others[0]!r}; pass "
            "an ssl.SSLContext that holds both in connect_args={'ssl': context}."
        )
    del query["sslrootcert"]
    arguments["ssl"] = True


def _direct_tls(query: Query) -> None:
    # asyncpg before 0.32 would fall back to plain text.
    if query.get("sslnegotiation") == "direct" and query.get("ssl") not in _MODES[3:]:
        raise ArgumentError(
            "sslnegotiation=direct needs a URL that requires TLS; "
            f"add one of sslmode={', '.join(_MODES[3:])}."
        )


def _multiple_hosts(url: URL, query: Query) -> None:
    # SQLAlchemy's asyncpg dialect wants a port with each of several hosts;
    # libpq has a default, and takes one port for all.
    hosts = query.get("host", url.host)
    port = str(url.port or 5432)
    if isinstance(hosts, tuple):
        query["host"] = tuple(h if ":" in h else f"{h}:{port}" for h in hosts)
    elif hosts and "," in hosts:
        ports = query.get("port", port)
        if isinstance(ports, str) and "," not in ports:
            ports = ",".join([ports] * len(hosts.split(",")))
        query |= {"host": hosts, "port": ports}


def _numbers(query: Query, arguments: dict[str, object]) -> None:
    if "connect_timeout" in query:
        seconds = _number("connect_timeout", _take(query, "connect_timeout"), int)
        # libpq waits for ever; asyncpg's own default is 60 seconds.
        arguments["timeout"] = float(seconds) if seconds > 0 else None
    for key, convert in _NUMBERS.items():
        if key in query:
            arguments[key] = _number(key, _take(query, key), convert)


def _number(key: str, value: str, convert: Callable[[str], float]) -> float:
    try:
        return convert(value)
    except ValueError:
        kind = "a whole number" if convert is int else "a number"
        raise ArgumentError(
            f"{key}={value!r} is not {kind}; write {key}=10, for example."
        ) from None


def _drop_what_holds_anyway(query: Query) -> None:
    # A plugin of create_engine() may read keys of its own from the URL.
    known = _ARGUMENTS | ({*query} if "plugin" in query else {"plugin"})
    for key in sorted(query):
        if key in _BEHAVES_AS:
            if _take(query, key).lower() not in _BEHAVES_AS[key]:
                raise ArgumentError(
                    f"asyncpg has no equivalent of {key!r}, and leaving it out "
                    "changes what the URL asks for; remove it, or write "
                    "'postgresql+psycopg', which is libpq."
                )
        elif key not in known:
            raise ArgumentError(
                f"{key!r} is a key of neither asyncpg nor libpq; write "
                f"'options=-c {key}=value' if it is a setting of the server."
            )

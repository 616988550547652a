from __future__ import annotations

import os
import ssl
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import asyncpg.connect_utils
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.ext.asyncio import create_async_engine

from async_layers._urls.prepare import Prepared, World, prepare_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORLDS: tuple[World, ...] = ("sync", "async")
MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


@pytest.fixture(autouse=True)
def every_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every driver for installed, whatever this environment holds."""
    monkeypatch.setattr("async_layers._urls.prepare.find_spec", lambda _: object())


@pytest.fixture
def foreign() -> Iterator[None]:
    """Register a database that SQLAlchemy does not ship, in both worlds."""
    for name, cls in (
        ("nosuchdb", SQLiteDialect_pysqlite),
        ("nosuchdb.async_", SQLiteDialect_aiosqlite),
    ):
        registry.register(name, cls.__module__, cls.__name__)
    yield
    registry.deregister("nosuchdb")
    registry.deregister("nosuchdb.async_")


def parsed(prepared: Prepared) -> Any:
    """Return what asyncpg makes of a prepared URL."""
    dialect = prepared.url.get_dialect().get_async_dialect_cls(prepared.url)()
    _, arguments = dialect.create_connect_args(prepared.url)
    arguments = {**arguments, **prepared.connect_args}
    arguments.pop("timeout", None)
    defaults: dict[str, Any] = dict.fromkeys(
        (
            *("dsn", "host", "port", "user", "password", "passfile", "database"),
            *("command_timeout", "ssl", "direct_tls", "server_settings"),
            *("target_session_attrs", "krbsrvname", "gsslib"),
            *("service", "servicefile"),
        )
    )
    sizes = {
        "statement_cache_size": 1,
        "max_cached_statement_lifetime": 1,
        "max_cacheable_statement_size": 1,
    }
    return asyncpg.connect_utils._parse_connect_arguments(
        **{**defaults, **sizes, **arguments}
    )


@pytest.mark.parametrize(
    ("given", "sync", "async_"),
    [
        ("postgresql", "postgresql+async_layers", "postgresql+async_layers"),
        ("postgres", "postgresql+async_layers", "postgresql+async_layers"),
        ("sqlite", "sqlite+async_layers", "sqlite+async_layers"),
        ("mysql", "mysql+pymysql", "mysql+asyncmy"),
        ("mariadb", "mariadb+pymysql", "mariadb+asyncmy"),
        ("oracle", "oracle+oracledb", "oracle+oracledb"),
        ("mssql", "mssql+pyodbc", "mssql+aioodbc"),
        ("postgres+psycopg", "postgresql+psycopg", "postgresql+psycopg"),
        ("postgresql+psycopg", "postgresql+psycopg", "postgresql+psycopg"),
        ("oracle+oracledb", "oracle+oracledb", "oracle+oracledb"),
    ],
)
def test_a_url_gets_the_driver_of_its_world(given: str, sync: str, async_: str) -> None:
    """A driver that has both faces is accepted in both worlds."""
    assert sync == prepare_url(f"{given}://", "sync").url.drivername
    assert async_ == prepare_url(f"{given}://", "async").url.drivername


@pytest.mark.parametrize(
    ("driver", "world"),
    [
        ("postgresql+psycopg2", "sync"),
        ("postgresql+pg8000", "sync"),
        ("postgresql+asyncpg", "async"),
        ("postgresql+psycopg_async", "async"),
        ("oracle+oracledb_async", "async"),
        ("oracle+cx_oracle", "sync"),
        ("mysql+aiomysql", "async"),
        ("mysql+mysqldb", "sync"),
        ("sqlite+pysqlite", "sync"),
    ],
)
def test_an_explicit_driver_is_respected(driver: str, world: World) -> None:
    """The driver that the URL names is the one that the engine gets."""
    assert driver == prepare_url(f"{driver}://", world).url.drivername


@pytest.mark.parametrize(
    ("driver", "partner"),
    [
        ("sqlite+pysqlite", "sqlite+async_layers"),
        ("postgresql+psycopg2", "postgresql+async_layers"),
        ("postgres+pg8000", "postgresql+async_layers"),
        ("postgresql+psycopg2cffi", "postgresql+async_layers"),
        ("mysql+pymysql", "mysql+asyncmy"),
        ("mysql+mysqldb", "mysql+asyncmy"),
        ("mysql+mysqlconnector", "mysql+asyncmy"),
        ("mariadb+mariadbconnector", "mariadb+asyncmy"),
        ("oracle+cx_oracle", "oracle+oracledb"),
        ("mssql+pyodbc", "mssql+aioodbc"),
    ],
)
def test_a_blocking_driver_is_refused_under_asyncio(driver: str, partner: str) -> None:
    """The refusal names the driver and what to write instead."""
    with pytest.raises(InvalidRequestError) as caught:
        prepare_url(f"{driver}://", "async")
    driver = driver.replace("postgres+", "postgresql+")
    assert (
        f"{driver!r} blocks the event loop; write {partner!r}, "
        "or use create_engine() in blocking code."
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("driver", "partner"),
    [
        ("sqlite+aiosqlite", "sqlite+async_layers"),
        ("sqlite+async_layers_async", "sqlite+async_layers"),
        ("postgresql+asyncpg", "postgresql+async_layers"),
        ("postgresql+async_layers_async", "postgresql+async_layers"),
        ("postgresql+psycopg_async", "postgresql+async_layers"),
        ("mysql+asyncmy", "mysql+pymysql"),
        ("mariadb+aiomysql", "mariadb+pymysql"),
        ("oracle+oracledb_async", "oracle+oracledb"),
        ("mssql+aioodbc", "mssql+pyodbc"),
    ],
)
def test_an_asyncio_driver_is_refused_in_blocking_code(
    driver: str, partner: str
) -> None:
    """The refusal names the driver and what to write instead."""
    with pytest.raises(InvalidRequestError) as caught:
        prepare_url(f"{driver}://", "sync")
    assert (
        f"{driver!r} needs an event loop; write {partner!r}, "
        "or use create_async_engine() in asyncio code."
    ) == str(caught.value)


@pytest.mark.usefixtures("foreign")
def test_the_dialect_of_another_package_says_which_world_it_is_of() -> None:
    """A database without an entry here is judged by its dialect."""
    assert prepare_url("nosuchdb://", "sync").url.drivername == "nosuchdb"
    url = prepare_url("nosuchdb+async_://", "async").url
    assert url.drivername == "nosuchdb+async_"
    with pytest.raises(InvalidRequestError, match="write the driver of this world"):
        prepare_url("nosuchdb://", "async")


@pytest.mark.parametrize(
    ("url", "world", "module", "requirement"),
    [
        ("postgresql://", "sync", "psycopg", "async-layers[psycopg]"),
        ("postgresql+psycopg_async://", "async", "psycopg", "async-layers[psycopg]"),
        ("postgresql://", "async", "asyncpg", "asyncpg"),
        ("sqlite://", "async", "aiosqlite", "aiosqlite"),
        ("mysql://", "sync", "pymysql", "async-layers[mysql]"),
        ("mariadb://", "async", "asyncmy", "async-layers[mysql]"),
        ("oracle://", "async", "oracledb", "async-layers[oracle]"),
        ("mysql+mysqldb://", "sync", "MySQLdb", "mysqlclient"),
        ("mysql+mysqlconnector://", "sync", "mysql", "mysql-connector-python"),
    ],
)
def test_a_missing_driver_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    world: World,
    module: str,
    requirement: str,
) -> None:
    """The error is the one that SQLAlchemy's import would raise."""
    monkeypatch.setattr("async_layers._urls.prepare.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        prepare_url(url, world)
    assert module == caught.value.name
    assert f"run pip install '{requirement}'." in str(caught.value)


def test_sqlite_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module sqlite3 comes with Python."""
    monkeypatch.setattr("async_layers._urls.prepare.find_spec", lambda _: None)
    expected = Prepared(make_url("sqlite+async_layers:///a.db"), {}, "sqlite3")
    assert expected == prepare_url("sqlite:///a.db", "sync")


def test_preparing_imports_no_driver() -> None:
    """A command line that only reads a URL starts no driver."""
    program = (
        "import sys\n"
        "from async_layers._urls.prepare import prepare_url\n"
        "prepare_url('postgresql://', 'async')\n"
        "prepare_url('sqlite://', 'async')\n"
        "drivers = {'asyncpg', 'psycopg', 'aiosqlite', 'sqlite3'}\n"
        "assert not drivers & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("key_in_url", "ssl_in_url"),
    [("sslmode", mode) for mode in MODES] + [("ssl", mode) for mode in MODES],
)
def test_a_mode_of_tls_stays_in_the_url(key_in_url: str, ssl_in_url: str) -> None:
    """Both worlds read either name, and a copy of the URL keeps the mode."""
    url = f"postgresql://h/d?{key_in_url}={ssl_in_url}"
    assert {"ssl": ssl_in_url} == prepare_url(url, "async").url.query
    assert {"sslmode": ssl_in_url} == prepare_url(url, "sync").url.query
    psycopg = url.replace("postgresql:", "postgresql+psycopg:")
    assert {"sslmode": ssl_in_url} == prepare_url(psycopg, "async").url.query


@pytest.mark.parametrize(
    ("query", "expected_query", "expected_arguments"),
    [
        ("application_name=a b", {}, {"dsn": "postgresql://?application_name=a+b"}),
        (
            "fallback_application_name=x",
            {},
            {"dsn": "postgresql://?application_name=x"},
        ),
        (
            "fallback_application_name=x&application_name=y",
            {},
            {"dsn": "postgresql://?application_name=y"},
        ),
        (
            "options=-c%20jit%3Doff",
            {},
            {"dsn": "postgresql://?options=-c+jit%3Doff"},
        ),
        (
            "sslmode=verify-full&sslrootcert=/ca.pem&sslcrl=/crl.pem",
            {"ssl": "verify-full"},
            {"dsn": "postgresql://?sslcrl=%2Fcrl.pem&sslrootcert=%2Fca.pem"},
        ),
        (
            "sslcert=/c&sslkey=/k&sslpassword=p",
            {},
            {"dsn": "postgresql://?sslcert=%2Fc&sslkey=%2Fk&sslpassword=p"},
        ),
        (
            "sslmode=require&sslnegotiation=direct",
            {"ssl": "require"},
            {"dsn": "postgresql://?sslnegotiation=direct"},
        ),
        ("sslrootcert=system", {"ssl": "verify-full"}, {"ssl": True}),
        ("connect_timeout=5", {}, {"timeout": 5.0}),
        ("connect_timeout=0", {}, {"timeout": None}),
        ("connect_timeout=-1", {}, {"timeout": None}),
        (
            "timeout=1.5&command_timeout=2&statement_cache_size=0",
            {},
            {"timeout": 1.5, "command_timeout": 2.0, "statement_cache_size": 0},
        ),
        ("service=app", {}, {"dsn": "postgresql://?service=app"}),
        ("servicefile=/s&passfile=/p", {"servicefile": "/s", "passfile": "/p"}, {}),
        (
            "target_session_attrs=read-write&krbsrvname=k&gsslib=gssapi",
            {
                "target_session_attrs": "read-write",
                "krbsrvname": "k",
                "gsslib": "gssapi",
            },
            {},
        ),
        (
            "prepared_statement_cache_size=7",
            {"prepared_statement_cache_size": "7"},
            {},
        ),
        ("plugin=mine&mykey=1", {"plugin": "mine", "mykey": "1"}, {}),
        ("client_encoding=UTF8&channel_binding=prefer&gssencmode=disable", {}, {}),
        ("keepalives=0&sslsni=1&replication=off", {}, {}),
        ("host=a:1&host=b:2", {"host": ("a:1", "b:2")}, {}),
        ("host=a&host=b:2", {"host": ("a:5432", "b:2")}, {}),
        ("host=a,b", {"host": "a,b", "port": "5432,5432"}, {}),
        ("host=a,b&port=1", {"host": "a,b", "port": "1,1"}, {}),
        ("host=a,b&port=1,2", {"host": "a,b", "port": "1,2"}, {}),
        ("host=a&port=1", {"host": "a", "port": "1"}, {}),
    ],
)
def test_libpq_keys_reach_asyncpg(
    query: str,
    expected_query: dict[str, object],
    expected_arguments: dict[str, object],
) -> None:
    """A key becomes what asyncpg calls it, or goes where it means the same."""
    prepared = prepare_url(f"postgresql:///d?{query}", "async")
    assert expected_query == prepared.url.query
    assert expected_arguments == prepared.connect_args


def test_a_list_of_hosts_in_the_authority_becomes_a_list() -> None:
    """The commas are libpq's; asyncpg would look up one long name."""
    prepared = prepare_url("postgresql://u:p@a,b:7/d", "async")
    assert prepared.url.query == {"host": "a,b", "port": "7,7"}
    assert parsed(prepared)[0] == [("a", 7), ("b", 7)]


def test_dbname_in_the_query_names_the_database() -> None:
    """The query wins over the path, as it does in libpq."""
    assert prepare_url("postgresql:///one?dbname=two", "async").url.database == "two"


def test_an_empty_value_is_the_default() -> None:
    """Only a URL object can hold an empty value, which libpq skips."""
    url = URL.create("postgresql", query={"sslmode": "", "require_auth": ""})
    prepared = prepare_url(url, "async")
    assert (prepared.url.query, prepared.connect_args) == ({}, {})


@pytest.mark.parametrize(
    "query",
    [
        "channel_binding=require",
        "client_encoding=latin1",
        "gssdelegation=1",
        "gssencmode=require",
        "hostaddr=127.0.0.1",
        "keepalives=1",
        "keepalives_idle=30",
        "keepalives_interval=30",
        "keepalives_count=3",
        "load_balance_hosts=random",
        "min_protocol_version=3.2",
        "replication=database",
        "require_auth=scram-sha-256",
        "requirepeer=postgres",
        "sslcertmode=require",
        "sslcrldir=/x",
        "sslsni=0",
        "tcp_user_timeout=1000",
    ],
)
def test_what_asyncpg_cannot_do_is_refused(query: str) -> None:
    """Nothing that the URL asks for is left out in silence."""
    key = query.partition("=")[0]
    with pytest.raises(ArgumentError) as caught:
        prepare_url(f"postgresql:///d?{query}", "async")
    assert (
        f"asyncpg has no equivalent of {key!r}, and leaving it out changes what "
        "the URL asks for; remove it, or write 'postgresql+psycopg', which is libpq."
    ) == str(caught.value)
    assert query == prepare_url(
        f"postgresql+psycopg:///d?{query}", "async"
    ).url.render_as_string().partition("?")[2].replace("%2F", "/")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("jit=off", "write 'options=-c jit=value' if it is a setting of the server"),
        ("sslmode=verify_full", "sslmode='verify_full' is not a mode of PostgreSQL"),
        ("ssl=true", "sslmode='true' is not a mode of PostgreSQL"),
        ("sslmode=require&ssl=verify-full", "'require and verify-full' is not a mode"),
        ("sslmode=require&sslmode=disable", "'sslmode' stands in the URL more than"),
        ("application_name=a&application_name=b", "'application_name' stands in"),
        ("sslrootcert=system&sslmode=require", "write sslmode=verify-full."),
        ("sslrootcert=system&sslcert=/c", "cannot join sslrootcert=system and 'sslc"),
        (
            "sslrootcert=system&ssl_min_protocol_version=TLSv1.3",
            "cannot join sslrootcert=system and 'ssl_min_protocol_version'",
        ),
        ("sslnegotiation=direct", "add one of sslmode=require, verify-ca, verify-ful"),
        ("connect_timeout=soon", "connect_timeout='soon' is not a whole number"),
        ("timeout=soon", "timeout='soon' is not a number; write timeout=10"),
    ],
)
def test_a_key_that_cannot_be_translated_is_refused(query: str, message: str) -> None:
    """The sentence names the key and what to write."""
    with pytest.raises(ArgumentError) as caught:
        prepare_url(f"postgresql:///d?{query}", "async")
    assert message in str(caught.value)


@pytest.fixture
def ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a file of CA certificates, with no other in the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    context = ssl.create_default_context()
    der = context.get_ca_certs(binary_form=True)
    if not der:
        pytest.skip("this system has no CA certificates in one file")
    path = tmp_path / "ca.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(der[0]))
    return str(path)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("disable", None),
        ("allow", (ssl.CERT_NONE, False)),
        ("prefer", (ssl.CERT_NONE, False)),
        ("require", (ssl.CERT_REQUIRED, False)),
        ("verify-ca", (ssl.CERT_REQUIRED, False)),
        ("verify-full", (ssl.CERT_REQUIRED, True)),
    ],
)
def test_asyncpg_verifies_what_the_mode_says(
    ca: str, mode: str, expected: tuple[ssl.VerifyMode, bool] | None
) -> None:
    """With a root certificate, asyncpg checks as libpq does."""
    url = f"postgresql://h/d?sslmode={mode}&sslrootcert={quote_plus(ca)}"
    _, parameters, _ = parsed(prepare_url(url, "async"))
    assert MODES.index(mode) == parameters.sslmode
    context = parameters.ssl
    seen = (context.verify_mode, context.check_hostname) if context else None
    assert expected == seen


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
@pytest.mark.usefixtures("ca")
def test_a_copy_of_the_url_does_not_verify_less(mode: str) -> None:
    """Without the CA, which travels beside the URL, asyncpg refuses to connect."""
    url = prepare_url(f"postgresql://h/d?sslmode={mode}&sslrootcert=/x", "async").url
    with pytest.raises(
        asyncpg.exceptions.ClientConfigurationError, match="root certificate file"
    ):
        parsed(prepare_url(url, "async"))


@pytest.mark.usefixtures("ca")
def test_the_certificates_of_the_system_are_verified_in_full() -> None:
    """sslrootcert=system checks the chain and the name of the host."""
    _, parameters, _ = parsed(
        prepare_url("postgresql://h/d?sslrootcert=system", "async")
    )
    assert MODES.index("verify-full") == parameters.sslmode
    assert parameters.ssl.verify_mode == ssl.CERT_REQUIRED
    assert parameters.ssl.check_hostname


def test_settings_of_the_url_and_of_the_caller_are_joined() -> None:
    """The caller's server_settings are added to the DSN's, and win."""
    prepared = prepare_url("postgresql://h/d?application_name=a&options=x", "async")
    own = {"server_settings": {"jit": "off", "application_name": "mine"}}
    joined = {**prepared.connect_args, **own}
    _, parameters, _ = parsed(replace(prepared, connect_args=joined))
    assert parameters.server_settings == {
        "application_name": "mine",
        "options": "x",
        "jit": "off",
    }


def test_a_service_file_is_read_by_asyncpg(tmp_path: Path) -> None:
    """The service gives what the URL does not."""
    file = tmp_path / "services"
    file.write_text("[app]\nhost=db\nport=7\nsslmode=disable\n")
    url = f"postgresql://u@/d?service=app&servicefile={quote_plus(str(file))}"
    addresses, parameters, _ = parsed(prepare_url(url, "async"))
    assert addresses == [("db", 7)]
    assert MODES.index("disable") == parameters.sslmode


@pytest.mark.parametrize("driver", ["pymysql", "asyncmy"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("charset=latin1", {}),
        ("ssl_ca=/ca", {"ca": "/ca"}),
        ("ssl_mode=VERIFY_CA&ssl_ca=/ca", {"ca": "/ca", "check_hostname": False}),
        (
            "ssl_mode=verify_identity&ssl_ca=/ca",
            {"ca": "/ca", "check_hostname": True},
        ),
        (
            "ssl_verify_identity=true&ssl_verify_cert=true&ssl_capath=/cas",
            {"capath": "/cas", "check_hostname": True},
        ),
        ("ssl_verify_cert=1&ssl_ca=/ca", {"ca": "/ca", "check_hostname": True}),
        (
            "ssl_verify_cert=1&ssl_ca=/ca&ssl_check_hostname=no",
            {"ca": "/ca", "check_hostname": False},
        ),
        (
            "ssl_mode=VERIFY_IDENTITY&ssl_ca=/ca&ssl_check_hostname=no",
            {"ca": "/ca", "check_hostname": True},
        ),
        ("ssl_mode=REQUIRED", {"check_hostname": False}),
        ("ssl=true", {"check_hostname": False}),
        ("ssl=true&ssl_ca=/ca", {"ca": "/ca"}),
        ("ssl_disabled=false&ssl_ca=/ca", {"ca": "/ca"}),
        (
            "ssl=true&ssl_verify_identity=true&ssl_ca=/ca",
            {"ca": "/ca", "check_hostname": True},
        ),
    ],
)
def test_tls_of_mysql_arrives_as_it_was_asked(
    driver: str, query: str, expected: dict[str, object]
) -> None:
    """SQLAlchemy hands both drivers the same dictionary."""
    pytest.importorskip(driver)
    world: World = "sync" if driver == "pymysql" else "async"
    url = prepare_url(f"mysql://h/d?{query}", world).url
    assert f"mysql+{driver}" == url.drivername
    _, arguments = url.get_dialect()().create_connect_args(url)
    assert expected == arguments.get("ssl", {})
    assert {"charset", "ssl", "host", "db", "database"} >= {*arguments} - {
        "client_flag"
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ssl_mode=REQUIRED", (ssl.CERT_NONE, False)),
        ("ssl_mode=VERIFY_CA&ssl_ca={ca}", (ssl.CERT_REQUIRED, False)),
        ("ssl_verify_identity=true&ssl_ca={ca}", (ssl.CERT_REQUIRED, True)),
        ("ssl=true&ssl_ca={ca}", (ssl.CERT_REQUIRED, True)),
    ],
)
async def test_both_drivers_of_mysql_verify_what_was_asked(
    ca: str, query: str, expected: tuple[ssl.VerifyMode, bool]
) -> None:
    """The context of either driver checks the certificate and the name."""
    pymysql = pytest.importorskip("pymysql")
    asyncmy = pytest.importorskip("asyncmy.connection")
    url = f"mysql://h/d?{query.format(ca=quote_plus(ca))}"
    blocking, asyncio = (prepare_url(url, world).url for world in WORLDS)
    _, arguments = blocking.get_dialect()().create_connect_args(blocking)
    connection = pymysql.connections.Connection(**arguments, defer_connect=True)
    assert connection._ssl_required
    context = connection.ctx
    assert expected == (context.verify_mode, context.check_hostname)
    _, arguments = asyncio.get_dialect()().create_connect_args(asyncio)
    context = asyncmy.Connection(user="u", ssl=arguments["ssl"])._ssl_context
    assert expected == (context.verify_mode, context.check_hostname)


@pytest.mark.parametrize("query", ["ssl=false", "ssl_mode=DISABLED", "ssl_disabled=1"])
def test_tls_of_mysql_is_switched_off_when_asked(query: str) -> None:
    """PyMySQL is told, since it encrypts if it can; asyncmy does not."""
    url = f"mysql://h/d?{query}&charset=utf8mb4"
    assert prepare_url(url, "sync").url.query == {
        "charset": "utf8mb4",
        "ssl_disabled": "true",
    }
    assert prepare_url(url, "async").url.query == {"charset": "utf8mb4"}


def test_preferred_is_what_pymysql_does_anyway() -> None:
    """PyMySQL encrypts if the server can."""
    assert prepare_url("mysql://h/d?ssl_mode=PREFERRED", "sync").url.query == {}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://h/d?ssl_mode=PREFERRED", "asyncmy cannot fall back from TLS"),
        ("mysql://h/d?ssl_mode=STRICT", "asks for TLS as STRICT, which is not one"),
        ("mysql://h/d?ssl_mode=DISABLED&ssl=1", "as DISABLED and REQUIRED, which"),
        ("mysql://h/d?ssl_mode=DISABLED&ssl_ca=/x", "off and gives 'ssl_ca'; remove"),
        ("mysql://h/d?ssl_mode=VERIFY_CA", "add ssl_ca=/path/to/ca.pem, or write"),
        ("mysql://h/d?ssl_verify_identity=true", "add ssl_ca=/path/to/ca.pem"),
        ("mysql://h/d?ssl_verify_cert=false", "or ssl_mode=REQUIRED or VERIFY_CA"),
        ("mysql://h/d?ssl=perhaps", "ssl='perhaps' is not a switch"),
        ("mysql://h/d?ssl_key_password=secret", "pass connect_args={'ssl': context}"),
        ("mysql://h/d?write_timeout=3", "no equivalent of PyMySQL's 'write_timeout'"),
        ("mysql+aiomysql://h/d?ssl_ca=/x", "aiomysql does not honour 'ssl_ca'"),
    ],
)
def test_tls_of_mysql_that_a_driver_cannot_do_is_refused(
    url: str, message: str
) -> None:
    """Nothing falls back to plain text in silence."""
    with pytest.raises(ArgumentError) as caught:
        prepare_url(url, "async")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "error", "seen"),
    [
        ("", ArgumentError, "An empty text is not a database URL; write "),
        ("secret", ArgumentError, "A text without 'database://' is not a "),
        ("a-b://secret", ArgumentError, "The text after 'a-b://' is not a database "),
        ("u:secret@h://d", ArgumentError, "A text without 'database://' is not a "),
        (7, ArgumentError, "An object of type 'int' is not a database URL; write "),
        (
            "postgresql://u:secret@a:1,b:2/d",
            ArgumentError,
            "The text after 'postgresql://' has a port that is not a number; write ",
        ),
        (
            "nosuchdb://u:secret@h",
            NoSuchModuleError,
            "'nosuchdb' is not a database and driver that SQLAlchemy finds; write ",
        ),
        (
            "postgresql+nosuchdriver://u:secret@h",
            NoSuchModuleError,
            "'postgresql+nosuchdriver' is not a database and driver that SQLAlchemy ",
        ),
        (
            "postgresql://u:secret@h?sslpassword=secret&require_auth=secret",
            ArgumentError,
            "asyncpg has no equivalent of 'require_auth', and leaving it out ",
        ),
    ],
)
def test_a_bad_url_is_refused_without_its_password(
    url: Any,
    error: type[Exception],
    seen: str,
) -> None:
    """The sentence says what was seen and what to write, and keeps secrets."""
    with pytest.raises(error) as caught:
        prepare_url(url, "async")
    assert str(caught.value).startswith(seen)
    assert "secret" not in str(caught.value)


def test_the_representation_keeps_the_password_of_a_key() -> None:
    """A log of the prepared URL shows no password."""
    prepared = prepare_url("postgresql://u:secret@h?sslpassword=secret", "async")
    assert "secret" in str(prepared.connect_args)
    assert "secret" not in repr(prepared)


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "sslmode": st.sampled_from(MODES),
        "ssl": st.sampled_from(MODES),
        "sslrootcert": st.sampled_from(["system", "/ca.pem"]),
        "sslnegotiation": st.sampled_from(["direct", "postgres"]),
        "options": st.text(),
        "application_name": st.text(),
        "connect_timeout": st.integers(-1, 9).map(str),
        "host": st.sampled_from(["a", "a,b"]),
        "gssencmode": st.sampled_from(["disable", "require"]),
    },
)


@given(QUERIES, st.sampled_from(["sync", "async"]))
def test_translating_never_verifies_less(query: dict[str, str], world: World) -> None:
    """What comes out is refused or at least as strict as every mode that went in."""
    url = URL.create("postgresql", host="h", query=query)
    asked = [query[key] for key in ("ssl", "sslmode") if key in query]
    try:
        got = prepare_url(url, world).url.query
    except ArgumentError:
        return
    seen = str(got.get("ssl" if world == "async" else "sslmode", "disable"))
    assert all(MODES.index(seen) >= MODES.index(mode) for mode in asked)


@given(QUERIES, st.sampled_from(["sync", "async"]))
def test_preparing_twice_is_preparing_once(query: dict[str, str], world: World) -> None:
    """A URL that is prepared stays as it is."""
    try:
        once = prepare_url(URL.create("postgresql", query=query), world).url
    except ArgumentError:
        return
    assert once == prepare_url(once, world).url


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
async def test_the_server_sees_the_settings_of_the_url(
    driver: str, postgresql_url: str
) -> None:
    """One URL means the same to asyncpg, to psycopg's asyncio face and to libpq."""
    url = make_url(postgresql_url).set(
        drivername=driver,
        query={
            "application_name": "one two",
            "options": r'-c search_path="a\ b" --work-mem=5MB',
            "connect_timeout": "5",
            "sslmode": "prefer",
        },
    )
    statement = text(
        "select current_setting('application_name'), "
        "current_setting('search_path'), current_setting('work_mem')"
    )
    expected = ("one two", '"a b"', "5MB")
    prepared = prepare_url(url, "async")
    engine = create_async_engine(prepared.url, connect_args=dict(prepared.connect_args))
    async with engine.connect() as connection:
        assert expected == (await connection.execute(statement)).one()
    await engine.dispose()
    prepared = prepare_url(url, "sync")
    blocking = create_engine(prepared.url, connect_args=dict(prepared.connect_args))
    with blocking.connect() as connection:
        assert expected == connection.execute(statement).one()
    blocking.dispose()

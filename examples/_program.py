"""What every example needs around it: a database, and one line where there is none."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError

from async_layers.embedded import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

# A URL that is refused, a driver or a server's programs that are missing, an
# address that does not answer.
REFUSED = (
    ArgumentError,
    InvalidRequestError,
    ModuleNotFoundError,
    NotImplementedError,
    OSError,
)


@contextmanager
def sqlite_file() -> Iterator[str]:
    """Lend the URL of a new SQLite file; remove the file with the block."""
    with TemporaryDirectory() as directory:
        yield f"sqlite:///{directory}/example.db"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Lend the URL of a new PostgreSQL server; stop the server with the block."""
    with embedded_postgres() as server:
        yield server.url


@contextmanager
def database(
    description: str | None,
    default: Callable[[], AbstractContextManager[str]] = sqlite_file,
) -> Iterator[str]:
    """Lend the URL given on the command line, else the default's.

    A URL that is refused and a server that does not answer end the program:
    one line, exit 2.
    """
    parser = ArgumentParser(description=description)
    parser.add_argument("url", nargs="?", help="of the database to use")
    given: str | None = parser.parse_args().url
    try:
        if given is None:
            with default() as url:
                yield url
        else:
            yield given
    except REFUSED as error:
        _end(error)
    except DBAPIError as error:
        # Without a statement it comes from connecting. With one the server was
        # reached, and the traceback says more than a line.
        if error.statement is not None:
            raise
        _end(error.orig or error)


def _end(error: BaseException) -> NoReturn:
    print("No database to use:", " ".join(f"{error}".split()), file=sys.stderr)
    sys.exit(2)

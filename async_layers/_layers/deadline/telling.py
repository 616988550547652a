"""Tell a server how long it has, for when it does not hear from its client any more."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Connection, bindparam, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import TextClause

    from async_layers._layers.deadline.budget import Budget

# What somebody else has set stays where it is shorter; 0 is for ever.
# Parameters have one text for all: asyncpg and psycopg prepare it once.
_POSTGRESQL = text("""\
SELECT set_config(
  name, CAST(CASE WHEN own BETWEEN 1 AND most THEN own ELSE most END AS text), true
) FROM (
  SELECT name, CAST(:milliseconds AS bigint) AS most, CAST(
    1000 * extract(epoch FROM CAST(current_setting(name) AS interval)) AS bigint
  ) AS own
  FROM (VALUES ('lock_timeout'), ('statement_timeout')) AS setting (name)
) AS known""").bindparams(bindparam("milliseconds", type_=BigInteger))
_MARIADB = text("""\
SET @async_layers_statement = @@max_statement_time,
  @async_layers_lock = @@innodb_lock_wait_timeout,
  max_statement_time = IF(
    @@max_statement_time BETWEEN 0.000001 AND :seconds, @@max_statement_time, :seconds),
  innodb_lock_wait_timeout = LEAST(@@innodb_lock_wait_timeout, :whole)""")
_MARIADB_BACK = """\
SET max_statement_time = @async_layers_statement,
  innodb_lock_wait_timeout = @async_layers_lock"""
_MYSQL = text("""\
SET @async_layers_statement = @@max_execution_time,
  @async_layers_lock = @@innodb_lock_wait_timeout,
  max_execution_time = IF(
    @@max_execution_time BETWEEN 1 AND :milliseconds,
    @@max_execution_time, :milliseconds),
  innodb_lock_wait_timeout = LEAST(@@innodb_lock_wait_timeout, :whole)""")
_MYSQL_BACK = _MARIADB_BACK.replace("max_statement_time", "max_execution_time")

# SET TRANSACTION and SET TRANSACTION SNAPSHOT have to come first.
_FIRST = ("SET ", "LOCK ")
# Who is still there asks the server to stop; two who stop one statement may stop the
# next one as well.
_LATER = 0.25  # seconds
_LONGEST = 2**31 - 1  # milliseconds


class Teller:
    """What the server of one connection is told, and what it was told before."""

    def __init__(self, connection: Connection) -> None:
        dialect = connection.dialect
        self._connection = connection
        self._name = dialect.name
        self._is_mariadb = bool(getattr(dialect, "is_mariadb", False))
        self._told: object = None
        self._busy_timeout: int | None = None

    def tell(self, words: str, budget: Budget) -> None:
        """Tell, ahead of a statement, how long the server has."""
        if self._name == "sqlite":
            self.shorten(budget)
            return
        driver = self._connection.connection.dbapi_connection
        if self._told is driver or words.lstrip().upper().startswith(_FIRST):
            return
        self._told = driver
        statement = self._statement()
        if statement is not None:
            left = budget.left + _LATER
            parameters = {
                "milliseconds": min(math.ceil(1000 * left), _LONGEST),
                "seconds": left,
                "whole": math.ceil(left),
            }
            # Whoever guards the connection looks at what its user does.
            Connection.execute(self._connection, statement, parameters).close()

    def _statement(self) -> TextClause | None:
        """Return what is told; in autocommit PostgreSQL has no SET LOCAL."""
        match self._name:
            case "postgresql":
                alone = self._connection._is_autocommit_isolation()  # noqa: SLF001
                return None if alone else _POSTGRESQL
            case "mysql" | "mariadb":
                return _MARIADB if self._is_mariadb else _MYSQL
            case _:
                return None

    def shorten(self, budget: Budget) -> None:
        """Let SQLite wait for a lock no longer than the deadline."""
        if self._name != "sqlite":
            return
        with self._cursor() as cursor:
            if self._busy_timeout is None:
                cursor.execute("PRAGMA busy_timeout")
                self._busy_timeout = int(cursor.fetchone()[0])
            left = math.ceil(1000 * budget.left)
            if left < self._busy_timeout:
                cursor.execute(f"PRAGMA busy_timeout = {left}")

    def take_back(self) -> None:
        """Give the server back what it was told before, or the connection up."""
        try:
            if self._busy_timeout is not None:
                with self._cursor() as cursor:
                    cursor.execute(f"PRAGMA busy_timeout = {self._busy_timeout}")
            elif self._told is not None and self._name in {"mysql", "mariadb"}:
                with self._cursor() as cursor:
                    cursor.execute(_MARIADB_BACK if self._is_mariadb else _MYSQL_BACK)
        except BaseException as error:
            # The next user shall not have it.
            self._connection.invalidate(error)
            if not isinstance(error, Exception):
                raise

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Lend a cursor of the driver's, which begins no transaction."""
        cursor = self._connection.connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

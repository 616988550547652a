"""A bank: accounts, and a ledger of what was transferred; what is true of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.schema import CreateSchema, DropSchema

if TYPE_CHECKING:
    from sqlalchemy import Engine, Executable

ACCOUNTS: Final = 8
BALANCE: Final = 1000

Step = tuple["Executable", dict[str, Any]]

# A COMMIT that wrote to the ledger waits while somebody holds this lock.
_WAIT_IN_COMMIT: Final = """
CREATE FUNCTION {schema}.wait() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared({key}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON {schema}.ledger
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.wait()
"""


class Transfer(NamedTuple):
    """What one worker does at once: `name` is like no other."""

    name: str
    source: int
    target: int


class Truth(NamedTuple):
    """What the bank holds: how often each transfer is in the ledger.

    `halves` are the accounts of which the ledger tells something else.
    """

    ledger: Counter[str]
    total: int
    halves: list[int]


class Bank:
    """Two tables in a schema of their own, on any server."""

    def __init__(self, eye: Engine, schema: str, key: int) -> None:
        """Take an engine in autocommit, beside the load, and a number for a lock."""
        self.eye, self.schema, self.key = eye, schema, key
        self.note = ""  # written with each transfer, where the disk shall fill
        self.sorted = 0  # numbers that each transfer sorts, where the server spills
        tables = MetaData(schema=schema)
        self.account = Table(
            "account",
            tables,
            Column("id", Integer, primary_key=True, autoincrement=False),
            Column("balance", BigInteger, nullable=False),
        )
        # A transfer that is there twice has to be seen: its name is no key.
        self.ledger = Table(
            "ledger",
            tables,
            Column("name", String(40), nullable=False),
            Column("source", Integer, nullable=False),
            Column("target", Integer, nullable=False),
            Column("note", Text, nullable=False),
        )
        self._tables = tables

    def open(self) -> None:
        """Make the tables, with the same on each account."""
        rows = [{"id": n, "balance": BALANCE} for n in range(1, ACCOUNTS + 1)]
        with self.eye.connect() as connection:
            connection.execute(CreateSchema(self.schema))
            self._tables.create_all(connection)
            connection.execute(insert(self.account), rows)
        if self.eye.dialect.name == "postgresql":
            self.tell(_WAIT_IN_COMMIT.format(schema=self.schema, key=self.key))

    def close(self) -> None:
        """Drop the tables."""
        postgresql = self.eye.dialect.name == "postgresql"
        with self.eye.connect() as connection:
            if postgresql:  # what is left open, with its locks, has been seen before
                connection.execute(text("SET lock_timeout = '5s'"))
            connection.execute(DropSchema(self.schema, cascade=postgresql))

    def tell(self, statement: str) -> None:
        """Execute a statement beside the load."""
        with self.eye.connect() as connection:
            connection.exec_driver_sql(statement)

    def transfer(self, worker: int, number: int) -> Transfer:
        """Return what a worker transfers next: from each account to each other."""
        source = (worker + number) % ACCOUNTS
        target = (source + 1 + number % (ACCOUNTS - 1)) % ACCOUNTS
        return Transfer(f"{worker}-{number}", source + 1, target + 1)

    def steps(self, transfer: Transfer) -> list[Step]:
        """Return the statements of a transfer of 1, in the order of the accounts.

        Who locks in one order is never in the way of another.
        """
        changes = {transfer.source: -1, transfer.target: +1}
        account = self.account.c
        change = (
            update(self.account)
            .where(account.id == bindparam("which"))
            .values(balance=account.balance + bindparam("by"))
        )
        written = {**transfer._asdict(), "note": self.note}
        steps: list[Step] = [(insert(self.ledger), written)]
        if self.sorted:
            number = func.generate_series(1, self.sorted).column_valued("number")
            several = select(number).order_by((-number).desc()).subquery()
            steps.append((select(func.count()).select_from(several), {}))
        return steps + [
            (change, {"which": which, "by": changes[which]})
            for which in sorted(changes)
        ]

    def total(self) -> int:
        """Return what all accounts hold together."""
        with self.eye.connect() as connection:
            held = connection.scalar(select(func.sum(self.account.c.balance)))
        return int(held or 0)

    def truth(self) -> Truth:
        """Return what the bank holds."""
        ledger = self.ledger.c
        with self.eye.connect() as connection:
            rows = connection.execute(select(ledger.name, ledger.source, ledger.target))
            moved, names = Counter[int](), Counter[str]()
            for name, source, target in rows:
                names[name] += 1
                moved[source] -= 1
                moved[target] += 1
            balances = connection.execute(select(self.account)).all()
        halves = [one for one, held in balances if held != BALANCE + moved[one]]
        return Truth(names, sum(held for _, held in balances), halves)

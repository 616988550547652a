"""Move money between accounts, and see that it is never in two places or in none.

The database refuses a balance below zero. What happens then depends on where the
error is caught: around a savepoint, or around the transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from _program import database
from _tables import tables
from sqlalchemy import Integer, String, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CheckConstraint, Column, MetaData, Table

from async_layers import engine_scope, read, savepoint, transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

# MySQL's drivers know a CHECK by the second name.
REFUSED = (IntegrityError, OperationalError)

account = Table(
    "example_account",
    MetaData(),
    Column("owner", String(20), primary_key=True),
    Column("balance", Integer, nullable=False),
    CheckConstraint("balance >= 0", name="example_account_not_overdrawn"),
)


def pay(connection: Connection, payer: str, payee: str, amount: int) -> None:
    """Move an amount; raise one of REFUSED if the payer does not have it.

    The payee is paid first: if the payer cannot pay, there is something to undo.
    """
    for owner, change in ((payee, amount), (payer, -amount)):
        connection.execute(
            update(account)
            .where(account.c.owner == owner)
            .values(balance=account.c.balance + change)
        )


def balances(connection: Connection) -> str:
    """Tell what a connection sees."""
    query = select(account.c.owner, account.c.balance).order_by(account.c.owner)
    rows = connection.execute(query)
    return ", ".join(f"{owner} {balance}" for owner, balance in rows)


def others(engine: Engine) -> str:
    """Tell what another connection sees."""
    with read(engine) as connection:
        return balances(connection)


def commit(engine: Engine) -> None:
    """Leave the block: both changes are kept."""
    with transaction(engine, write=True) as connection:
        pay(connection, "Ada", "Ben", 30)
    print(f"Ada pays Ben 30.             All see {others(engine)}.")


def undo_a_part(engine: Engine) -> None:
    """Catch the error around a savepoint: the transaction goes on without it."""
    with transaction(engine, write=True) as connection:
        pay(connection, "Ada", "Ben", 20)
        try:
            with savepoint(connection):
                pay(connection, "Ada", "Ben", 500)
        except REFUSED:
            print("Ada pays Ben 20 and 500:     500 is refused, 20 stands.")
    print(f"The transaction commits.     All see {others(engine)}.")


def undo_all(engine: Engine) -> None:
    """Catch the error around the transaction: nothing of it is kept."""
    try:
        with transaction(engine, write=True) as connection:
            pay(connection, "Ada", "Ben", 10)
            print(f"Ada pays Ben 10, not kept.   It sees {balances(connection)}.")
            pay(connection, "Ada", "Ben", 500)
    except REFUSED:
        print("Ada pays Ben 500:            refused, all is undone.")
    print(f"The transaction rolls back.  All see {others(engine)}.")


def main(url: str) -> None:
    """Open two accounts and move money between them."""
    with (
        engine_scope(url, connect_timeout=5) as engine,
        tables(engine, account.metadata),
    ):
        with transaction(engine) as connection:
            opened = [{"owner": "Ada", "balance": 100}, {"owner": "Ben", "balance": 0}]
            connection.execute(insert(account), opened)
        commit(engine)
        undo_a_part(engine)
        undo_all(engine)


if __name__ == "__main__":
    with database(__doc__) as url:
        main(url)

"""Layers 2 and 3: a transaction that is run again as a whole."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from sqlalchemy import Engine

from async_layers._retry.calls import require_engine, require_factory
from async_layers._retry.functions import require_function, result_of
from async_layers._retry.run import Run
from async_layers.connection import transaction
from async_layers.session import unit_of_work

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy.orm
    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import IsolationLevel
    from sqlalchemy.orm import Session

    from async_layers._retry.policy import Retry
    from async_layers.scope import Scope

    S = TypeVar("S", bound=Session)

T = TypeVar("T")
U = TypeVar("U")
Ts = TypeVarTuple("Ts")


def run_transaction(  # noqa: PLR0913 - what a transaction can be given
    engine: Engine,
    function: Callable[[Connection, *Ts], T],
    *arguments: *Ts,
    retry: Retry | None = None,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
    deadline: float | None = None,
) -> T:
    """Call a function with a connection in a transaction, again if that has to be.

    What it returns is returned when its transaction is committed. After a
    serialization failure, a deadlock, a connection that is lost before COMMIT began,
    a cached plan that is stale, a busy SQLite, or a server that cannot be reached, the
    whole function is called again with a fresh transaction, as `retry` says: what it
    does elsewhere it does again. The last error travels on, with a note of
    how many attempts there were; `attempt_number()` tells the function.

    Never run again: what may have been committed (`Outcome.UNKNOWN`), and what was
    cancelled. `InvalidRequestError` refuses a call inside an open transaction of the
    same engine, and a function that returns after its transaction was rolled back.
    `deadline` holds for all attempts and pauses together; the other options are those
    of `transaction`. Keyword arguments reach the function by `functools.partial`.
    """
    require_engine(run_transaction, engine, Engine)
    require_function(run_transaction, function)
    return _run(
        Run(run_transaction, retry, deadline),
        lambda left: transaction(
            engine,
            isolation_level=isolation_level,
            read_only=read_only,
            write=write,
            deadline=left,
        ),
        lambda connection: function(connection, *arguments),
    )


def run_unit_of_work(  # noqa: PLR0913 - what a transaction can be given
    factory: sqlalchemy.orm.sessionmaker[S],
    function: Callable[[S, *Ts], T],
    *arguments: *Ts,
    retry: Retry | None = None,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
    deadline: float | None = None,
) -> T:
    """Call a function with a session in a unit of work, again if that has to be.

    Each attempt has a fresh session: what an earlier one has loaded is not there. All
    else is as with `run_transaction`.
    """
    require_factory(run_unit_of_work, factory, Engine)
    require_function(run_unit_of_work, function)
    return _run(
        Run(run_unit_of_work, retry, deadline),
        lambda left: unit_of_work(
            factory,
            isolation_level=isolation_level,
            read_only=read_only,
            write=write,
            deadline=left,
        ),
        lambda session: function(session, *arguments),
    )


def _run(
    run: Run, opened: Callable[[float | None], Scope[U]], function: Callable[[U], T]
) -> T:
    with run:
        while True:
            try:
                with run.starts(opened(run.left)) as target:
                    run.begins()
                    result = result_of(run.helper, function(target))
            except BaseException as error:
                if not run.goes_on(error):
                    raise
            else:
                return run.ends(result)
            sleep(run.pause)

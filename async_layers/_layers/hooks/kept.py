"""What runs after a commit, and what of it a rollback drops; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from async_layers._finish import WITHIN
from async_layers._layers.guard.made import remade
from async_layers._layers.hooks.due import Due
from async_layers.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy.orm import SessionTransaction

    from async_layers._layers.ended import Ended

# Where a session keeps the scope that lends it.
_SCOPE = "async_layers.scope"


class Savepoint:
    """A savepoint that hooks stand in; the database may roll back to it."""

    undone = False


class HookedConnection(Connection):
    """A connection that tells hooks of the savepoints that it rolls back to."""

    scope: Ended | None = None
    _hooked: dict[str, Savepoint] | None = None

    def _rollback_to_savepoint_impl(self, name: str) -> None:
        if self._hooked is not None and name in self._hooked:
            self._hooked[name].undone = True
        super()._rollback_to_savepoint_impl(name)

    def open_savepoints(self) -> tuple[Savepoint, ...]:
        """Return the savepoints that the connection is in."""
        if self._hooked is None:
            self._hooked = {}
        found = list[Savepoint]()
        nested = self.get_nested_transaction()
        while nested is not None:
            found.append(self._hooked.setdefault(nested._savepoint, Savepoint()))  # noqa: SLF001 - has no other name
            if found[-1].undone:  # out of order: with it went those inside
                found.clear()
            nested = nested._previous_nested  # noqa: SLF001 - has no other name
        return tuple(found)


def savepoint_end(connection: Connection) -> Callable[[], Outcome]:
    """Return what tells how the savepoint ends that is the innermost now."""
    hooked = remade(HookedConnection, connection)
    savepoints = cast("HookedConnection", hooked).open_savepoints()

    def ended() -> Outcome:
        of_root: Outcome | None = getattr(connection, "outcome", None)
        undone = (
            any(each.undone for each in savepoints)
            or of_root not in {None, Outcome.COMMITTED}
            or connection.invalidated
        )
        return Outcome.ROLLED_BACK if undone else Outcome.RELEASED

    return ended


class Hook(NamedTuple):
    """A function to call after the commit, and what it stands in."""

    call: Callable[[], object]
    name: str
    nested: frozenset[SessionTransaction]
    savepoints: tuple[Savepoint, ...]


class Hooks:
    """The hooks of one transaction, in their order."""

    def __init__(
        self, target: Connection | Session, used: Callable[[], Iterable[Connection]]
    ) -> None:
        self._target = target
        self._used = used
        self._hooks: list[Hook] = []
        self._committed: set[SessionTransaction] = set()
        self._root: SessionTransaction | None = None
        if isinstance(target, Session):
            self._root = target.get_transaction()
            event.listen(target, "after_commit", self._note)

    def _note(self, session: Session) -> None:
        """Note which transaction of the session is committed or released."""
        ended = session.get_nested_transaction() or session.get_transaction()
        self._committed.add(cast("SessionTransaction", ended))

    def add(self, call: Callable[[], object], name: str) -> None:
        """Add a hook, in the savepoints that are set now."""
        nested = frozenset(_nested(self._target))
        savepoints = tuple(
            savepoint
            for each in self._used()
            if isinstance(each, HookedConnection)
            for savepoint in each.open_savepoints()
        )
        self._hooks.append(Hook(call, name, nested, savepoints))

    def adopt(self, hooks: list[Hook]) -> None:
        """Add the hooks of a session whose nested transactions are over."""
        self._hooks.extend(each._replace(nested=frozenset()) for each in hooks)

    def end(self, outcome: Outcome | None) -> Due | None:
        """Return what is due to run, now that the transaction is over."""
        if isinstance(self._target, Session):
            event.remove(self._target, "after_commit", self._note)
        left = [each for each in self._hooks if each.nested <= self._committed]
        used = tuple(self._used())
        # A session that asked its database for nothing has no other witness.
        told = self._root is None or self._root in self._committed
        if outcome is None and told:
            _hand_on(left, used)
        if outcome is Outcome.COMMITTED and (used or told):
            return _due(left, used)
        return None


def _due(hooks: list[Hook], used: tuple[Connection, ...]) -> Due | None:
    calls = [
        (each.call, each.name)
        for each in hooks
        if not any(savepoint.undone for savepoint in each.savepoints)
    ]
    within = WITHIN
    if used:
        within = used[0].get_execution_options().get("finish_within", WITHIN)
    return Due(calls, within) if calls else None


def _hand_on(hooks: list[Hook], used: tuple[Connection, ...]) -> None:
    """Leave hooks to the transaction around a session that was bound to it."""
    for connection in used:
        outer = scope_of(connection)
        if outer is not None:
            outer.hooks_of(connection).adopt(hooks)


def _nested(target: Connection | Session) -> Iterator[SessionTransaction]:
    """Return the nested transactions that a session is in."""
    if not isinstance(target, Session):
        return
    transaction = target.get_nested_transaction()
    while transaction is not None:
        if transaction.nested:
            yield transaction
        transaction = transaction.parent


def scope_of(target: Connection | Session) -> Ended | None:
    """Return the scope that lends a connection or a session now."""
    if isinstance(target, Session):
        return cast("Ended | None", target.info.get(_SCOPE))
    return target.scope if isinstance(target, HookedConnection) else None


def set_scope(target: Connection | Session, scope: Ended | None) -> None:
    """Say which scope lends a connection or a session, or that none does."""
    if not isinstance(target, Session):
        hooked: Any = target
        hooked.scope = scope
    elif scope is not None:
        target.info[_SCOPE] = scope
    else:
        target.info.pop(_SCOPE, None)  # the block may have emptied it

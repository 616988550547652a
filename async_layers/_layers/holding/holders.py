"""Who holds a pool's connections, since when and from which line."""

from __future__ import annotations

import logging
import sys
import warnings
from sys import _getframe
from threading import current_thread, local
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet, ref

from sqlalchemy.pool import QueuePool

from async_layers._layers.deadline.budget import POOL
from async_layers._layers.holding.behalf import CLIENT
from async_layers._layers.holding.places import Place, caller, caller_of_greenlet, edge
from async_layers._layers.holding.waiting import whereabouts

if TYPE_CHECKING:
    from asyncio import Task
    from types import CodeType

    from sqlalchemy import Pool, PoolProxiedConnection
    from sqlalchemy.exc import TimeoutError  # noqa: A004 - the pool's

LOG = logging.getLogger("async_layers.pool")

# So many of them are listed: the pool of a large service would fill a page.
_LISTED: Final = 20


class Holder(ref[Any]):
    """Who holds a connection: the pool's reference to it, which hears if it is dropped.

    To check a connection out costs these notes and no more; what they say is worked
    out when somebody asks. Neither the task or thread nor its frames are kept alive.
    """

    __slots__ = ("code", "instruction", "owner", "record", "since")

    kind = "thread"

    code: CodeType
    instruction: int
    owner: tuple[ref[Any], str]
    record: Any
    since: float

    @property
    def name(self) -> str:
        """Return the name of the task or thread."""
        return f"{self.kind} {self.owner[1]!r}"

    @property
    def place(self) -> Place:
        """Return the line that checked the connection out."""
        return Place(self.code, self.instruction)

    @property
    def seconds(self) -> float:
        """Return for how long it has been held."""
        return monotonic() - self.since

    def __str__(self) -> str:
        return (
            f"{self.name} for {self.seconds:.1f} s, from {self.place}, "
            f"{whereabouts(self.owner[0]())}"
        )


class TaskHolder(Holder):
    """A task that holds a connection."""

    __slots__ = ()

    kind = "task"


class _Thread(local):
    """What is noted of each thread, once."""

    def __init__(self) -> None:
        thread = current_thread()
        self.owner = ref(thread), thread.name


_THREAD = _Thread()


def this_thread() -> tuple[ref[Any], str]:
    """Return the thread that runs, and its name."""
    return _THREAD.owner


def note_holder(
    connection: PoolProxiedConnection, task: Task[Any] | None
) -> Holder | None:
    """Note who has checked a connection out, and in which line.

    A pool has a reference to each connection that is out, by which it knows one that
    is dropped. The note is put in its place: one that is given back leaves none.
    """
    record = getattr(connection, "_connection_record", None)
    # A pool may hand out what is its own, or the same one to a thread twice.
    if record is None or connection._counter > 1:  # noqa: SLF001 - no public name
        return None
    if task is None:
        holder = Holder(connection, _dropped)
        holder.owner = _THREAD.owner
        frame = caller()
    else:
        holder = TaskHolder(connection, _dropped)
        holder.owner = ref(task), task.get_name()
        frame = caller_of_greenlet()
    holder.since = monotonic()
    if frame is None:
        _note_otherwise(holder)
    else:
        holder.code, holder.instruction = frame.f_code, frame.f_lasti
    holder.record = record
    record.fairy_ref = holder
    try:
        record.is_known  # noqa: B018 - asked for each time, so without a call
    except AttributeError:
        record.is_known = True
        _known(connection._pool).add(record)  # noqa: SLF001 - no public name
    return holder


def _known(pool: Any) -> WeakSet[Any]:  # noqa: ANN401 - it is given an attribute
    """Return the entries of a pool, which lie with it."""
    try:
        records: WeakSet[Any] = pool.known_records
    except AttributeError:
        records = pool.known_records = WeakSet[Any]()
    return records


def tell_holders(pool: Pool, error: TimeoutError) -> None:
    """Say in a pool's error who has the connections that it waited for."""
    if getattr(error, "part", POOL) != POOL:
        return
    held = [each for each in map(_holder_of, _known(pool)) if each is not None]
    held.sort(key=lambda holder: holder.since)
    lines = [str(holder) for holder in held[:_LISTED]]
    out = pool.checkedout() if isinstance(pool, QueuePool) else len(held)
    if out > len(lines):
        lines.append(f"{out - len(lines)} more")
    if not lines:
        return  # a pool of the user's, with connections of its own
    listed = "".join(f"\n  {line}" for line in lines)
    told = (
        f"{''.join(error.args[:1])}\nThe pool's connections are held by{listed}\n"
        "Give them back earlier, or write a larger pool_size."
    )
    error.args = (told,)


def _holder_of(record: Any) -> Holder | None:  # noqa: ANN401 - has no public name
    """Return who holds the connection of a pool's entry, if anybody does."""
    holder = record.fairy_ref
    return holder if isinstance(holder, Holder) and holder() is not None else None


def _note_otherwise(holder: Holder) -> None:
    """Note for whom a task of our own works, or else where that task began."""
    client = CLIENT.get()
    if client is None:
        place = Place.of(edge(_getframe(2)))
    else:
        task, place = client
        holder.owner = ref(task), task.get_name()
    holder.code, holder.instruction = place


def _dropped(holder: Holder) -> None:
    """Hear that nobody refers to a connection any more that was never given back."""
    if holder.record.fairy_ref is not holder or sys.is_finalizing():
        return
    place = holder.place
    message = (
        f"A connection is dropped without close(): seen garbage that {holder.name} "
        f"checked out {holder.seconds:.1f} s ago, from {place}; write a `with` block "
        "around its use."
    )
    LOG.warning(message)
    # Where warnings are errors, this one is reported like that of a finalizer.
    warnings.warn_explicit(message, ResourceWarning, place.code.co_filename, place.line)

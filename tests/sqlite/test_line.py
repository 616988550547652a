"""The line of those who wait for one database, without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from async_layers.drivers._sqlite.waiting import Line

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Late:
    """A lock that is taken only when the last one in a line has left."""

    def __init__(self, line: Line) -> None:
        """Stand between a line and whoever looks at it."""
        self._line = line
        self._guard = line._guard

    def __enter__(self) -> Self:
        """Let the last one leave, and take the lock."""
        self._guard.acquire()
        self._line._waiting.clear()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        self._guard.release()


def test_first_one_is_called() -> None:
    """The end of a transaction is told to the first in the line alone."""
    line = Line()
    first, second = line.join(), line.join()
    line.call()
    assert [True, False] == [first.is_set(), second.is_set()]


def test_next_one_moves_up() -> None:
    """Whoever leaves lets the next one look."""
    line = Line()
    first, second = line.join(), line.join()
    line.leave(first)
    assert second.is_set()
    assert line.is_first(second)


def test_call_comes_too_late_for_one_who_has_left() -> None:
    """Whoever leaves while another thread is about to call misses nothing."""
    line = Line()
    ticket = line.join()
    line._guard = Late(line)  # type: ignore[assignment]
    line.call()
    assert not ticket.is_set()
    assert 0 == len(line)

"""Hooks whose transaction is committed: what is left of them, what failed; no I/O."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from async_layers._layers.notes import add_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LOG = logging.getLogger("async_layers.hooks")

# What ends the program, and so the hooks.
_EXITS = (KeyboardInterrupt, SystemExit)


class Due:
    """The hooks that are due, in their order."""

    def __init__(
        self, calls: Iterable[tuple[Callable[[], object], str]], within: float
    ) -> None:
        self.within = within
        self._calls = deque(calls)
        self._count = len(self._calls)
        self._failed: list[tuple[str, BaseException]] = []
        self._left: list[str] = []

    def calls(self) -> Iterator[tuple[Callable[[], object], str]]:
        """Return the hooks one by one, until there are none, or `stop()`."""
        while self._calls:
            yield self._calls.popleft()

    def stop(self) -> None:
        """Leave the hooks that have not begun."""
        self._left += [name for _, name in self._calls]
        self._calls.clear()

    @contextmanager
    def trying(self, name: str) -> Iterator[None]:
        """Keep what a hook raises for the end; only an exit travels at once."""
        try:
            yield
        except _EXITS as error:
            self.stop()
            self._tell(error)
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised in a group
            self._failed.append((name, error))

    def report(self, error: BaseException | None) -> None:
        """Raise what the hooks raised; nothing replaces an error on its way."""
        if error is not None:
            self._tell(error)
        elif self._failed:
            raised = BaseExceptionGroup(
                f"{len(self._failed)} of {self._count} on_commit hooks failed; the "
                "transaction was committed",
                [each for _, each in self._failed],
            )
            raised.add_note("The transaction was committed.")
            self._failed.clear()  # each has a frame in which they are
            try:
                raise raised
            finally:
                del raised

    def _tell(self, error: BaseException) -> None:
        """Note on an error that travels alone what became of the hooks."""
        add_note(error, "The transaction was committed.")
        for name, each in self._failed:
            add_note(error, f"Its on_commit hook {name} failed: {each!r}.")
            _LOG.error(
                "The on_commit hook %s failed; the transaction was committed.",
                name,
                exc_info=each,
            )
        if self._left:
            add_note(error, f"Its on_commit hooks not run: {', '.join(self._left)}.")

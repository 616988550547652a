"""Let this process take itself for a child of the one that opened a connection."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from async_layers.drivers._sqlite import lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_layers.drivers._sqlite.control import Control
    from async_layers.drivers._sqlite.worker import Worker


@contextmanager
def as_child(control: Control, worker: Worker | None = None) -> Iterator[None]:
    """Do what a fork does to a connection, of whose thread a child has nothing."""
    with (
        patch.object(lifecycle, "_open", {control: None}),
        patch.object(lifecycle, "_inherited", []),
    ):
        lifecycle._mark_inherited()
    thread = worker and worker.thread
    if worker:
        worker.thread = _ended()
    try:
        yield
    finally:
        control.inherited = control.refuses = False
        if worker and thread:
            worker.thread = thread


def _ended() -> threading.Thread:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    return thread

"""Faults around COMMIT, where it is decided what is true."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tests.faults._ground import becomes
from tests.faults._network import MESSAGES
from tests.faults._servers import ending_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults._ground import Scene
    from tests.postgresql._planted import Side

# Where a COMMIT can be stopped: it has not arrived; it has, and is cut off at once; it
# is done, and nothing of the answer has arrived; a part of it has; all of it has.
PLACES: Final[tuple[tuple[Side, int], ...]] = (
    ("client", 0),
    ("client", 1),
    ("server", 0),
    ("server", 1),
    ("server", 2),
)
_IN_COMMIT: Final = "query ILIKE 'COMMIT%' AND wait_event_type = 'Lock'"


def _places(scene: Scene) -> tuple[tuple[Side, int], ...]:
    """Return the places; MySQL answers a COMMIT by one message alone."""
    return PLACES[:-1] if scene.ground.database == "mysql" else PLACES


def cut(scene: Scene) -> int:
    """Cut the connection at each place of a COMMIT, by FIN and by RST."""
    for of, after in _places(scene):
        for act in ("FIN", "RST"):
            scene.proxy.cut_messages(after, of=of, since_commit=True, act=act)
            assert scene.proxy.happens()
    return 2 * len(_places(scene))


@contextmanager
def _waiting(scene: Scene) -> Iterator[list[int]]:
    """Have the load wait in COMMIT, on the server; lend the backends that do."""
    with scene.eye.connect() as connection:
        key = {"key": scene.bank.key}
        connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        try:
            assert becomes(lambda: scene.backends(_IN_COMMIT) != [])
            yield scene.backends(_IN_COMMIT)
        finally:
            with suppress(OperationalError):  # with its connection the lock has gone
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def end_backends(scene: Scene) -> int:
    """End the backends that are in COMMIT."""
    with _waiting(scene) as backends:
        for one in backends:
            scene.ask("SELECT pg_terminate_backend(:one)", one=one)
    return 1


def cancel_on_the_server(scene: Scene) -> int:
    """Cancel COMMIT as an administrator does: it fails, and its connection lives."""
    with _waiting(scene) as backends:
        for one in backends:
            scene.ask("SELECT pg_cancel_backend(:one)", one=one)
    return 1


def kill_backend(scene: Scene) -> int:
    """Kill a backend that is in COMMIT, and with it all others."""
    with ending_all(scene), _waiting(scene) as backends:
        os.kill(backends[0], signal.SIGKILL)
    return 1


def cancel_tasks_on_the_server(scene: Scene) -> int:
    """Cancel tasks while the server is in COMMIT, and then let it go on."""
    with _waiting(scene):
        scene.load.cancel()
    return 1


def cancel_tasks(scene: Scene) -> int:
    """Cancel tasks, once and twice, at each place of a COMMIT that goes on then."""
    for of, after in _places(scene):
        for times in (1, 2):
            scene.proxy.cut_messages(after, of=of, since_commit=True, act="hold")
            assert scene.proxy.happens()
            for _ in range(times):
                scene.load.cancel()
            scene.proxy.heal()
    return 2 * len(_places(scene))


def cancel_and_lose(scene: Scene) -> int:
    """Cancel tasks at each place of a COMMIT whose connection is lost then."""
    for of, after in _places(scene):
        for reset in (False, True):
            scene.proxy.cut_messages(after, of=of, since_commit=True, act="hold")
            assert scene.proxy.happens()
            scene.load.cancel()
            scene.proxy.drop(reset=reset)
    return 2 * len(_places(scene))


def cancel_at_every_message(scene: Scene) -> int:
    """Cancel tasks at each message of a transfer, of either side, in turn."""
    for after in range(MESSAGES):
        for of in _SIDES:
            scene.proxy.cut_messages(after, of=of, act="hold")
            assert scene.proxy.happens()
            scene.load.cancel()
            scene.proxy.heal()
    return 2 * MESSAGES


_SIDES: Final[tuple[Side, ...]] = ("client", "server")

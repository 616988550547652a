"""Run one fault on one driver, under a load, and judge what has become of it."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.faults import _commit, _network, _promotion, _servers
from tests.faults._drivers import ASYNCIO, DRIVERS, MYSQL, POSTGRESQL
from tests.faults._ground import becomes
from tests.faults._load import BOUND, watched
from tests.faults._verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.faults._drivers import Driver
    from tests.faults._ground import Ground, Scene
    from tests.faults._verdict import Verdict

WORKERS: Final = 4
DEADLINE: Final = 0.5
PATIENCE = 2.0  # seconds, within which what is told to end has ended
_TASKS: Final = tuple(name for name in POSTGRESQL if name in ASYNCIO)


class Fault(NamedTuple):
    """Something that happens, and the drivers that it makes sense with.

    `loses` is whether a connection may be lost while COMMIT is under way; `deadline`
    is that of each transfer.
    """

    act: Callable[[Scene], int]
    drivers: Sequence[str] = (*POSTGRESQL, *MYSQL)
    proxied: bool = True
    loses: bool = True
    deadline: float | None = None


def _of_server(act: Callable[[Scene], int], *, loses: bool = True) -> Fault:
    return Fault(act, POSTGRESQL, proxied=False, loses=loses)


FAULTS: Final = {
    "ended by FIN": Fault(_network.end),
    "ended by RST": Fault(_network.reset),
    "refused": Fault(_network.refuse),
    "black hole": Fault(_network.black_hole, loses=False),
    "black hole, with deadlines": Fault(
        _network.black_hole_until_deadlines, deadline=DEADLINE
    ),
    "delay": Fault(_network.slow_down, loses=False),
    "cut at every message": Fault(_network.cut_at_every_message, POSTGRESQL),
    "cut at COMMIT": Fault(_commit.cut),
    "backends ended, idle": _of_server(_servers.end_idle, loses=False),
    "backends ended, mid-query": _of_server(_servers.end_in_query, loses=False),
    "backends ended, in COMMIT": _of_server(_commit.end_backends),
    "backend SIGKILL": _of_server(_servers.kill),
    "backend SIGKILL, in COMMIT": _of_server(_commit.kill_backend),
    "backend SIGSTOP": _of_server(_servers.stop, loses=False),
    "backends SIGSTOP, with deadlines": Fault(
        _servers.stop_until_deadlines, POSTGRESQL, proxied=False, deadline=DEADLINE
    ),
    "COMMIT cancelled by the server": _of_server(
        _commit.cancel_on_the_server, loses=False
    ),
    "too many connections": _of_server(_servers.take_all_connections, loses=False),
    "temp_file_limit": _of_server(_servers.limit_temporary_files, loses=False),
    "disk full": _of_server(_servers.fill_disk, loses=False),
    "restart, fast": _of_server(_servers.restart_fast),
    "restart, immediate": _of_server(_servers.restart_immediately),
    "promotion": _of_server(_promotion.promote),
    "cancelled, server in COMMIT": Fault(
        _commit.cancel_tasks_on_the_server, _TASKS, proxied=False, loses=False
    ),
    "cancelled in COMMIT": Fault(_commit.cancel_tasks, ASYNCIO, loses=False),
    "cancelled in COMMIT, then lost": Fault(_commit.cancel_and_lose, ASYNCIO),
    "cancelled at every message": Fault(
        _commit.cancel_at_every_message, _TASKS, loses=False
    ),
}


def run(  # noqa: PLR0913 - what a run is made of
    name: str,
    driver: str,
    ground: Ground,
    *,
    times: int = 1,
    seconds: float = 0,
    ways: Sequence[Any] | None = None,
    deadline: float | None = None,
) -> Verdict:
    """Run a fault so many times under one load, after so many seconds of it each.

    With a deadline each transfer has one, for a fault that has none of its own.
    """
    fault = FAULTS[name]
    deadline = fault.deadline or deadline
    with (
        ground.scene(DRIVERS[driver], WORKERS, ways, proxied=fault.proxied) as scene,
        watched(scene.bank) as sums,
    ):
        recovered = list[float]()
        scene.load.deadline = deadline
        scene.load.start()
        try:
            for _ in range(times):
                recovered += _happen(fault, scene, seconds)
        finally:
            _end(scene, DRIVERS[driver])
        truth = scene.bank.truth()
    return judge(
        name,
        driver,
        scene.book,
        truth,
        sums=sums,
        left=scene.load.left,
        recovered=recovered,
        deadline=deadline,
    )


def _happen(fault: Fault, scene: Scene, seconds: float) -> list[float]:
    """Let a fault happen under a load that works; return how soon it works again."""
    began = time.monotonic()
    scene.felt(lambda: scene.book.succeeded(scene.workers, began))
    scene.book.wait_for(lambda: False, seconds)
    times = fault.act(scene)
    over = time.monotonic()
    scene.book.wait_for(lambda: scene.book.succeeded(scene.workers, over), BOUND)
    return [time.monotonic() - over] * times


def _end(scene: Scene, driver: Driver) -> None:
    """End the load, and look what is left of it."""
    load, left = scene.load, scene.load.left
    load.stop()
    left.lent = load.pool.checkedout()  # type: ignore[attr-defined]
    if not becomes(lambda: not scene.open(), PATIENCE):
        left.open = scene.open()
    load.close()
    if driver.forgets:
        gc.collect()
    if not becomes(lambda: not scene.connections(), PATIENCE):
        left.connections = scene.connections()

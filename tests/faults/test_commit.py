"""What is told of a COMMIT whose connection is cut, or whose task is cancelled."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.faults import _ways_async
from tests.faults._drivers import ASYNCIO, DRIVERS, MYSQL, POSTGRESQL
from tests.faults._ground import becomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.faults._bank import Step
    from tests.faults._book import Attempt
    from tests.faults._ground import Ground, Scene
    from tests.faults._ways_async import Way
    from tests.postgresql._planted import Act, Side

    Told = tuple[str | None, str | None, bool]

LOST = "OperationalError"
# Where a COMMIT is stopped, and whether it is done then.
PLACES: dict[str, tuple[Side, int, bool]] = {
    "COMMIT has not arrived": ("client", 0, False),
    "no answer has arrived": ("server", 0, True),
    "half of the answer has arrived": ("server", 1, True),
}
# The answer of MySQL is one message.
PLACES_OF_MYSQL = {name: PLACES[name] for name in list(PLACES)[:2]}


@pytest.fixture
def ways() -> tuple[Way, ...] | None:
    """Return nothing: the usual ways to transfer; a test may have its own."""
    return None


@pytest.fixture
def scene(driver: str, ground: Ground, ways: tuple[Way, ...] | None) -> Iterator[Scene]:
    """Return one worker that transfers, and a proxy that it passes."""
    with ground.scene(DRIVERS[driver], 1, ways, proxied=True) as scene:
        scene.load.start()
        began = time.monotonic()
        scene.felt(lambda: scene.book.succeeded(1, began))
        try:
            yield scene
        finally:
            scene.load.stop()
            scene.load.close()


def places(scene: Scene) -> dict[str, tuple[Side, int, bool]]:
    """Return the places that a database's protocol has."""
    return PLACES_OF_MYSQL if scene.ground.database == "mysql" else PLACES


def told(
    scene: Scene, act: Act, then: Callable[[], None] = lambda: None
) -> dict[str, Told]:
    """Return what a worker is told at each place: error, outcome; and what is true."""
    found = dict[str, "Told"]()
    for name, (of, after, _) in places(scene).items():
        began = time.monotonic()
        scene.proxy.cut_messages(after, of=of, since_commit=True, act=act)
        assert scene.proxy.happens()
        then()
        scene.felt(partial(scene.book.failed, 1, began))
        failed = next(
            one for one in scene.book.attempts if one.error and one.ended > began
        )
        there = scene.bank.truth().ledger[failed.transfer.name] == 1
        found[name] = failed.kind, failed.outcome, there
    return found


def expected(
    scene: Scene, error: str, outcome: str, *, done: bool | None = None
) -> object:
    """Return what each place tells; `done`: whatever the place."""
    return {
        name: (error, outcome, there if done is None else done)
        for name, (_, _, there) in places(scene).items()
    }


@pytest.mark.parametrize("driver", [*POSTGRESQL, *MYSQL])
@pytest.mark.parametrize("act", ["FIN", "RST"])
def test_a_commit_whose_connection_is_cut_is_unknown(scene: Scene, act: Act) -> None:
    """Whether it is done or not, nobody can tell the caller."""
    assert expected(scene, LOST, "unknown") == told(scene, act)


@pytest.mark.parametrize("driver", ASYNCIO)
@pytest.mark.parametrize("times", [1, 2])
def test_a_commit_whose_task_is_cancelled_is_done(scene: Scene, times: int) -> None:
    """The cancellation travels on when COMMIT has ended, and so does a second one."""

    def cancel() -> None:
        for _ in range(times):
            scene.load.cancel()
        scene.proxy.heal()

    done = expected(scene, "CancelledError", "committed", done=True)
    assert done == told(scene, "hold", cancel)


@pytest.mark.parametrize("driver", ASYNCIO)
@pytest.mark.parametrize("reset", [False, True])
def test_a_commit_that_is_cancelled_and_cut_is_unknown(
    scene: Scene, *, reset: bool
) -> None:
    """It stays a cancellation, and its outcome is unknown."""

    def cancel() -> None:
        scene.load.cancel()
        scene.proxy.drop(reset=reset)

    unknown = expected(scene, "CancelledError", "unknown")
    assert unknown == told(scene, "hold", cancel)


async def hurry(engine: AsyncEngine, attempt: Attempt, steps: list[Step]) -> None:
    """Transfer, and wait but shortly for COMMIT where the task is cancelled."""
    hurried = engine.execution_options(finish_within=0.1)
    await _ways_async.by_transaction(hurried, attempt, steps)


@pytest.mark.parametrize("driver", ASYNCIO)
@pytest.mark.parametrize("ways", [(hurry,)], ids=["hurry"])
def test_a_commit_that_is_cancelled_and_not_answered_is_unknown(scene: Scene) -> None:
    """The task is held for as long as `finish_within` says; nothing is left of it."""
    began = time.monotonic()
    scene.proxy.cut_messages(since_commit=True, act="hold")
    assert scene.proxy.happens()
    scene.load.cancel()
    scene.felt(lambda: scene.book.failed(1, began))
    (failed, *_) = scene.book.failures(began)
    scene.proxy.heal()
    assert ("CancelledError", "unknown") == (failed.kind, failed.outcome)
    assert failed.ended - failed.began < 1.1
    assert becomes(lambda: scene.connections() <= 1)


@pytest.mark.parametrize("driver", POSTGRESQL)
def test_a_connection_that_is_cut_behind_a_commit_costs_the_next_transaction(
    scene: Scene,
) -> None:
    """All of the answer has arrived: it is committed; what follows is rolled back."""
    before = time.monotonic()
    scene.proxy.cut_messages(2, since_commit=True)
    assert scene.proxy.happens()
    scene.felt(lambda: scene.book.failed(1, before))
    ledger = scene.bank.truth().ledger
    at = next(n for n, one in enumerate(scene.book.attempts) if one.error)
    found = [
        (one.kind, one.outcome, ledger[one.transfer.name])
        for one in scene.book.attempts[at - 1 : at + 1]
    ]
    assert [(None, "committed", 1), (LOST, "rolled back", 0)] == found

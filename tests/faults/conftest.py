"""The servers that faults happen to, started once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults._drivers import DRIVERS
from tests.faults._ground import Ground, UnavailableError, mysql_ground, own_ground
from tests.faults._promotion import replicated_ground
from tests.faults._run import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from tests.faults._verdict import Verdict

    Happen = Callable[..., Verdict]


@pytest.fixture(scope="session")
def own() -> Iterator[Ground]:
    """Return a PostgreSQL server that may be ended, and is there again afterwards."""
    with own_ground() as ground:
        yield ground


@pytest.fixture(scope="session")
def mysql() -> Iterator[Ground]:
    """Return the MySQL or MariaDB that the environment names."""
    try:
        with mysql_ground(os.environ.get("ASYNC_LAYERS_TEST_MYSQL_URL", "")) as ground:
            yield ground
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def replicas() -> Iterator[Ground]:
    """Return a primary and its standby, for one promotion."""
    with replicated_ground() as ground:
        yield ground


@pytest.fixture
def fault() -> str:
    """Return the name of no fault; a test of one is parametrised."""
    return "none"


@pytest.fixture
def ground(driver: str, fault: str, request: pytest.FixtureRequest) -> Ground:
    """Return the server of a driver, and for a promotion two of them."""
    own = "replicas" if fault == "promotion" else "own"
    postgresql = DRIVERS[driver].database == "postgresql"
    found: Ground = request.getfixturevalue(own if postgresql else "mysql")
    return found


@pytest.fixture
def happen(driver: str, ground: Ground) -> Happen:
    """Return what lets a fault happen under a load, and judges; or skips aloud."""

    def happen(fault: str, ways: Sequence[Any] | None = None) -> Verdict:
        try:
            return run(fault, driver, ground, ways=ways)
        except UnavailableError as error:
            pytest.skip(str(error))

    return happen

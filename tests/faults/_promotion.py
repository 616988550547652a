"""A primary that ends, and its standby that takes its place."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.faults._ground import Ground
from tests.postgresql._standby import replicated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults._ground import Scene


@contextmanager
def replicated_ground() -> Iterator[Ground]:
    """Lend a primary, whose commits wait for its standby: good for one promotion."""
    with replicated() as both:
        both.wait_for_each()
        hosts = [f"host=127.0.0.1:{one.port}" for one in (both.primary, both.standby)]
        url = f"postgresql://postgres@/postgres?{'&'.join(hosts)}"
        ground = Ground(url, both=both)
        try:
            yield ground
        finally:
            ground.eye.dispose()


def promote(scene: Scene) -> int:
    """End the primary at once, and promote the standby."""
    both = scene.ground.both
    assert both is not None
    os.kill(both.primary.pid, signal.SIGQUIT)
    both.promote()
    return 1

"""Faults of the network between the load and its server.

Each happens when it is called, waits until it is felt, and is over when it returns;
it returns how often it happened.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.faults._ground import Scene

HELD: Final = 0.1  # seconds, after which a worker is taken to wait for nobody
MESSAGES: Final = 14  # of a transfer, about, from one side


def end(scene: Scene) -> int:
    """End all connections by FIN."""
    scene.proxy.drop()
    return 1


def reset(scene: Scene) -> int:
    """End all connections by RST."""
    scene.proxy.drop(reset=True)
    return 1


def refuse(scene: Scene) -> int:
    """End all connections, and refuse new ones until each worker has seen it."""
    began = time.monotonic()
    scene.proxy.refuse()
    scene.proxy.drop()
    scene.felt(lambda: scene.book.failed(scene.workers, began, 2))
    scene.proxy.heal()
    return 1


def black_hole(scene: Scene) -> int:
    """Let nothing travel until each worker is stuck."""
    scene.proxy.black_hole()
    scene.felt(lambda: scene.book.stuck(scene.workers, HELD))
    scene.proxy.heal()
    return 1


def black_hole_until_deadlines(scene: Scene) -> int:
    """Let nothing travel until each worker has waited for too long."""
    began = time.monotonic()
    scene.proxy.black_hole()
    scene.felt(lambda: scene.book.failed(scene.workers, began))
    scene.proxy.heal()
    return 1


def slow_down(scene: Scene) -> int:
    """Let all arrive late until each worker has done a transfer in that way."""
    began = time.monotonic()
    scene.proxy.slow_down(0.005)
    scene.felt(lambda: scene.book.succeeded(scene.workers, began))
    scene.proxy.heal()
    return 1


def cut_at_every_message(scene: Scene) -> int:
    """Cut the connection of a worker after each message of either side, in turn."""
    for after in range(MESSAGES):
        scene.proxy.cut_messages(after, of="client")
        assert scene.proxy.happens()
        scene.proxy.cut_messages(after, of="server", act="RST" if after % 2 else "FIN")
        assert scene.proxy.happens()
    return 2 * MESSAGES

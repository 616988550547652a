"""Functions of the tests that are run in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_RUN = """
import asyncio, json, sys
from importlib import import_module
from inspect import iscoroutine
module, function, *arguments = sys.argv[1:]
told = getattr(import_module(module), function)(*arguments)
if iscoroutine(told):
    told = asyncio.run(told)
if told is not None:
    print(json.dumps(told))
"""


def command(function: Callable[..., object], *arguments: object) -> list[str]:
    """Return what runs a function of a module, with arguments that are text."""
    named = [function.__module__, function.__qualname__, *map(str, arguments)]
    return [sys.executable, "-W", "error", "-c", _RUN, *named]


def started(
    function: Callable[..., object], *arguments: object
) -> subprocess.Popen[str]:
    """Start a function in a process of its own."""
    return subprocess.Popen(
        command(function, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def told_by(function: Callable[..., object], *arguments: object) -> Any:
    """Run a function in a process of its own, and return what it returned."""
    with started(function, *arguments) as process:
        try:
            told, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "" == errors, errors
    return json.loads(told)

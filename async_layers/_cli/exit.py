"""Turn each way in which a command ends into an exit code and at most one line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import click

from async_layers._cli.commands import commands
from async_layers._cli.signals import Stopped, stoppable

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRONG_USE = 2


def run(arguments: Sequence[str] | None) -> int:
    """Run a command, by default the one that the program was started with."""
    try:
        with stoppable():
            code = commands.main(arguments, "async-layers", standalone_mode=False)
    except click.ClickException as error:
        _say(error.format_message())
        return _WRONG_USE
    except Stopped as stopped:
        _say("stopped; what was made is removed.")
        return cast("int", stopped.code)
    return cast("int | None", code) or 0


def _say(message: str) -> None:
    sys.stderr.write(f"async-layers: {' '.join(message.split())}\n")

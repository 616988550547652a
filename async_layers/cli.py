"""The command line: `async-layers`, or `python -m async_layers`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXTRA = {"click", "rich"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: all that was tried holds. 1: a pair does not hold. 2: wrong use, or a
    database, driver or file that cannot be used, in one line on stderr.
    """
    try:
        from async_layers._cli.exit import run  # noqa: PLC0415 - an extra
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            f"async-layers: the command line needs {error.name!r}, which is not "
            "installed; run pip install 'async-layers[cli]'\n"
        )
        return 2
    return run(arguments)

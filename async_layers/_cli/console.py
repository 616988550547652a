"""Open the two streams that the command line writes to."""

from __future__ import annotations

import codecs
import io
import sys
from contextlib import suppress

from rich.console import Console

_LETTERS = {"│": "|", "┌": ".", "├": "+", "└": "'", "·": "-", "≠": "!", "─": "-"}
# What a shell reports of a program that SIGPIPE has ended.
_PIPE_CLOSED = 141


class Page(Console):
    """A stream that shows text as it is; colours, width and NO_COLOR are rich's."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        codecs.register_error(__name__, _spelled)
        stream = sys.stderr if stderr else sys.stdout
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=__name__)
        super().__init__(
            stderr=stderr, width=width, highlight=False, markup=False, emoji=False
        )

    def on_broken_pipe(self) -> None:
        """End when the reader has gone; the exit code is not one of a verdict."""
        with suppress(SystemExit):
            super().on_broken_pipe()
        raise SystemExit(_PIPE_CLOSED)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for the characters that the encoding of a stream lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_LETTERS.get(one, "?") for one in lacking), error.end

"""A fault that is planted between two messages of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from tests.postgresql._frames import is_commit

if TYPE_CHECKING:
    from tests.postgresql._frames import Piece

Side: TypeAlias = Literal["client", "server"]
Act: TypeAlias = Literal["FIN", "RST", "hold"]


@dataclass
class Planted:
    """A fault that happens once, on one link, when so many messages have passed.

    They are counted on the first link that sends one; `since_commit` on the first that
    sends a COMMIT, which is a client's first then.
    """

    side: Side
    after: int
    act: Act
    since_commit: bool = False
    link: object = None
    passed: int = 0

    def concerns(self, link: object, side: Side, piece: Piece) -> bool:
        """Say whether a piece is one of those that are counted."""
        if self.link is None and piece.begins and self._is_first(side, piece):
            self.link = link
        return self.link is link and self.side == side

    def _is_first(self, side: Side, piece: Piece) -> bool:
        if self.since_commit:
            return side == "client" and is_commit(piece.data)
        return side == self.side

    def loses(self, link: object) -> None:
        """Wait for another link where this one has gone too early."""
        if self.link is link:
            self.link, self.passed = None, 0

    def is_due(self, piece: Piece) -> bool:
        """Count a piece that has passed; say whether it was the last one to pass."""
        self.passed += piece.ends
        return self.passed == self.after

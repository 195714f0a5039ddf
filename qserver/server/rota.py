"""Who goes on at the end of a turn: clients that have sent ahead, and those whose wait is over.

All of them do, each for its share of the turn; of a crowd some do, the others in the next turns.
"""

from itertools import islice
from typing import Final, Protocol

from qserver.config import TURN_S_MAX

GO_ON_MAX: Final = 100
"""So many go on in one turn: in about 1 ms where each has one reply to be given."""


class Talker(Protocol):
    """One who can go on."""

    def go_on(self, now: float) -> None:
        """Answer what was heard, as far as the share goes."""
        ...


class Rota:
    """Those who are to go on, in the order in which they asked for it.

    Attributes:
        share_s: what each of them may take of a turn.
    """

    def __init__(self) -> None:
        self.share_s = TURN_S_MAX
        self._waiting: dict[Talker, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, talker: Talker) -> None:
        """Let it go on soon."""
        self._waiting[talker] = None

    def discard(self, talker: Talker) -> None:
        """It has nothing more to say."""
        self._waiting.pop(talker, None)

    def go_on(self, now: float) -> None:
        """Let them go on; who is added meanwhile does so at the next call."""
        turn = list(islice(self._waiting, GO_ON_MAX))
        if len(turn) == len(self._waiting):
            self._waiting = {}
        else:
            for talker in turn:
                del self._waiting[talker]
        self.share_s = TURN_S_MAX / max(len(turn), 1)
        for talker in turn:
            talker.go_on(now)

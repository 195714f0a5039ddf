"""Keeping the journal small: which segments are dropped, and when a little is moved.

Bound: the journal takes at most twice what the live records take, and two segments. A segment that
nothing needs is dropped at once. Otherwise, when the journal grows past one and a half times what
is live and one segment, what keeps the oldest segment alive is told again at the end, some of it
with each turn of the loop: four times as much as the turn's requests have written, so that even if
all that can be gained stands in the newest segments, the oldest ones are through before the bound
is reached. What is moved in a turn takes about 5 ms at the most, and nothing is moved while a
commit is under way.

What is live is an estimate, and most often too low: a leased message is told in more words than a
ready one. When everything was moved once, the journal is as small as it gets, and what it takes
then says by how much; so a low estimate can't keep the compactor running for nothing.
"""

from typing import Final

from qserver.broker.broker import Broker
from qserver.broker.compaction import live_bytes, move
from qserver.ports import Journal
from qserver.storage.recorder import JournalRecorder

GROWTH_MAX: Final = 1.5
"""The journal may take this much of what is live, and a segment, before anything is moved."""

UNDERESTIMATE_MAX: Final = 4.0
"""No message takes more than so many times its estimate, but for long reasons and keys."""

WORTH_SHARE: Final = 64
"""On a full disk no more than this part of a segment is moved: a quarter of what is reserved."""

PACE: Final = 4
MOVED_BYTES_MIN: Final = 64 << 10
MOVED_BYTES_MAX: Final = 512 << 10


class Compactor:
    """Decides what is dropped and what is moved.

    Attributes:
        moved_bytes: told again since the start.
        kept_from: the newest segment in which the facts stand that no message carries: older ones
            may be dropped, it and later ones not.
    """

    def __init__(self, journal: Journal, recorder: JournalRecorder, broker: Broker) -> None:
        self.moved_bytes = 0
        self.kept_from = 0
        self._journal = journal
        self._recorder = recorder
        self._broker = broker
        self._oldest = 0
        self._size_before = 0
        self._goal = 0
        self._underestimate = 1.0

    def drop_dead_segments(self) -> bool:
        """Let the journal forget the segments that nothing needs; answers whether there are any.

        It does so with its next commit.
        """
        live = self._recorder.live
        if live.get(self._oldest):
            return False
        needed = [segment for segment, count in live.items() if count]
        oldest = min([*needed, self.kept_from])
        if oldest <= self._oldest:
            return False
        self._journal.drop_before(oldest)
        for segment in [segment for segment in live if segment < oldest]:
            del live[segment]
        is_first = not self._oldest  # at a start there may be nothing to drop
        self._oldest = oldest
        return not is_first

    def move_some(self) -> bool:
        """Tell some of what needs the oldest segment again, if the journal is too large.

        To be called when no commit is under way; answers whether it is to be called again soon.
        """
        size = self._journal.size
        segment_bytes_max = self._journal.segment_bytes_max
        live = live_bytes(self._broker) + 1
        grown = size - self._size_before
        self._size_before = size
        if self._goal and self._oldest >= self._goal:
            self._goal = 0
            told = size - 2 * segment_bytes_max
            self._underestimate = min(max(told / live, 1.0), UNDERESTIMATE_MAX)
        limit = GROWTH_MAX * live * self._underestimate + segment_bytes_max
        if size <= limit or self._oldest >= self._recorder.segment or not self._has_room(live):
            return False
        self._goal = self._goal or self._recorder.segment
        budget = max(PACE * grown, MOVED_BYTES_MIN)
        budget = min(budget, MOVED_BYTES_MAX, segment_bytes_max)
        moved = move(self._broker, self._oldest, budget)
        self.moved_bytes += moved
        self._size_before += moved
        return moved > 0

    def _has_room(self, live: int) -> bool:
        """Whether the disk can take what is moved.

        On a full disk that comes out of what is reserved for settling messages. It is worth it
        where little keeps the oldest segment from being dropped, which makes room.
        """
        if self._journal.room:
            return True
        counts = self._recorder.live
        each = live / max(sum(counts.values()), 1)
        left = counts.get(self._oldest, 0) * each * self._underestimate
        return left <= self._journal.segment_bytes_max / WORTH_SHARE

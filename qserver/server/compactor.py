"""Keeping the journal small: which segments are dropped, and when a little is moved.

Bound: the journal takes at most twice what the live records take, and two segments. A segment that
nothing needs is dropped at once. Otherwise, when the journal grows past one and a half times what
is live and one segment, what keeps the oldest segment alive is told again at the end, a little with
each batch: four times as much as has been written since the last one, so that even if all that can
be gained stands in the newest segments, the oldest ones are through before the bound is reached.
So what is moved costs each batch about the same, and who waits for it notices nothing. After a
large batch it is moved in several turns, so that none of them takes long.

When the bound is near all the same, since what is live became less at once (a PURGE, say), the
compactor is behind: it moves a slice with every turn, whether or not anybody asks anything. A slice
takes the loop half a millisecond.

A batch that is larger than the slack, half of what is live and a segment, passes the bound by
itself, until as much was moved.

What is live is an estimate, and most often too low: a leased message is told in more words than a
ready one. When everything was moved once, the journal is as small as it gets, and what it takes
then says by how much; so a low estimate can't keep the compactor running for nothing.
"""

from typing import Final

from qserver.broker.broker import Broker
from qserver.broker.compaction import forget_before, live_bytes, move
from qserver.ports import Journal
from qserver.storage.recorder import JournalRecorder

GROWTH_MAX: Final = 1.5
"""The journal may take this much of what is live, and a segment, before anything is moved."""

BEHIND: Final = 1.3
"""Past this much of that it is moved without waiting for more to be written."""

UNDERESTIMATE_MAX: Final = 4.0
"""No message takes more than so many times its estimate, but for long reasons and keys."""

WORTH_SHARE: Final = 64
"""On a full disk no more than this part of a segment is moved: a quarter of what is reserved."""

PACE: Final = 4
"""So many bytes are moved for each that was written."""

SLICE_BYTES: Final = 16 << 10
PACED_BYTES_MAX: Final = 96 << 10
"""No more is moved in a turn, about 1.5 ms of work; what is owed then is moved in the next ones."""

MOVED_BYTES_MAX: Final = 512 << 10
"""But so much when the bound is near: then who writes has to wait for what is moved."""


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
        self._written_since = 0
        self._underestimate = 1.0
        self._owed = 0

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
        forget_before(self._broker, oldest)
        is_first = not self._oldest  # at a start there may be nothing to drop
        self._oldest = oldest
        return not is_first

    def move_some(self) -> bool:
        """Tell some of what needs the oldest segment again, if the journal is too large.

        To be called before each batch is handed over, but for one that drops segments: until that
        is done, the journal is larger than it will be. Answers whether it is behind, so that it is
        to be called again soon though there may be nothing else to store.
        """
        journal = self._journal
        size = journal.size + journal.pending_bytes
        if size <= journal.segment_bytes_max and not self._goal:
            self._written_since += max(size - self._size_before, 0)
            self._size_before = size
            return False
        live = live_bytes(self._broker) + 1
        if self._goal and self._oldest >= self._goal:
            self._goal = 0
            told = size - self._written_since - 2 * journal.segment_bytes_max
            self._underestimate = min(max(told / live, 1.0), UNDERESTIMATE_MAX)
        limit = GROWTH_MAX * live * self._underestimate + journal.segment_bytes_max
        is_behind = size > BEHIND * limit
        if not journal.pending and not is_behind and not self._owed:
            return False  # a batch of nothing but what is moved would make another worth it
        grown = max(size - self._size_before, 0)
        self._size_before = size
        self._written_since += grown
        if size <= limit or self._oldest >= self._recorder.segment or not self._has_room(live):
            self._owed = 0
            return False
        if not self._goal:
            self._goal, self._written_since = self._recorder.segment, 0
        self._owed += PACE * grown
        budget = max(self._owed, SLICE_BYTES * is_behind)
        moved = self._move(min(budget, MOVED_BYTES_MAX if is_behind else PACED_BYTES_MAX))
        self._owed = max(self._owed - moved, 0) if moved else 0
        self._size_before = journal.size + journal.pending_bytes
        self.moved_bytes += self._size_before - size
        return moved > 0 and (is_behind or self._owed > 0)

    def _move(self, budget: int) -> int:
        """Move so much, out of the oldest segment and, if that is not enough, the next ones."""
        segment, moved = self._oldest, 0
        while segment < self._recorder.segment:
            moved += move(self._broker, segment, budget - moved)
            needed = (number for number, count in self._recorder.live.items() if count)
            following = min(needed, default=segment)
            if moved >= budget or following == segment or not self._journal.room:
                break
            segment = following
        return moved

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

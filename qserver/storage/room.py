"""Room on the disk: how much there is for new messages, and what is kept back for their end.

A PUT can be refused; what ends the life of messages (leases, ACKs, the dropping of old segments)
must go on, or a full disk never empties. So a file of real blocks stands in the journal's
directory, the *reserve*. A write that finds no room gives up as much of it as it takes, and is done
again. From then on there is no room for new messages, until the reserve could be made whole again,
which is tried about once a second.

    room ── a write finds none ──► no room: PUTs are refused, the reserve shrinks with each write
      ▲                              │ it is used up: the batch is kept, and waits
      └─── the reserve is whole ◄────┘

That alone would let one large batch of PUTs run past the reserve. So the room is also measured, now
and then far from the end and after each write near it, and PUTs are taken for so much only. What
is measured can be wrong, since others use the disk and quotas don't show: then the reserve helps.

The reserve is given up in slices, no faster than it is needed: what is freed, others may take.

Nothing depends on the file: absent, of any size or content, a start makes it what it should be.
"""

import contextlib
from pathlib import Path
from typing import Final

from qserver.storage.disk import SPACE_UNKNOWN, Disk

RESERVE_NAME: Final = "reserve"

RESERVE_BYTES_MAX: Final = 4 << 20
"""About 15,000 times GET and ACK, one by one."""

_SHARE: Final = 16
"""The reserve is at most this part of a segment, and of the disk."""

_LOOK_S: Final = 1.0
"""How often the room is measured, or looked for if there is none."""

_NEAR_BYTES: Final = 64 << 20
"""With less than this the room is measured after each write."""

_SLACK_BYTES: Final = 64 << 10
"""Given up besides what a write takes, since a file system counts in blocks."""


class Room:
    """The room in a directory. Its calls come from one thread at a time, but for `take`.

    Attributes:
        left: how many bytes of new messages there is room for.
        trouble: why there is no room for new messages; empty while there is.
        reserve_bytes: length of the reserve.
        whole_bytes: the length it should have.
        disk_bytes: how large the disk is.
    """

    def __init__(self, disk: Disk, directory: Path, segment_bytes_max: int) -> None:
        self.left = 0
        self.trouble = ""
        self.reserve_bytes = 0
        self.disk_bytes = SPACE_UNKNOWN
        self.whole_bytes = max(min(RESERVE_BYTES_MAX, segment_bytes_max // _SHARE), 1)
        self._disk = disk
        self._path = directory / RESERVE_NAME
        self._looked_at = 0.0

    @property
    def is_ample(self) -> bool:
        """Whether there is so much that what is written ahead of need is not missed."""
        return self.left >= _NEAR_BYTES

    def open(self) -> None:
        """Find what an earlier process left of the reserve, and make it whole if that can be."""
        with contextlib.suppress(OSError):
            _, self.disk_bytes = self._disk.space(self._path.parent)
            self.whole_bytes = max(min(self.whole_bytes, self.disk_bytes // _SHARE), 1)
            self.reserve_bytes = self._disk.size(self._path)
        self.look()

    def look(self) -> None:
        """Measure the room, and make the reserve whole if it isn't.

        Whatever fails here is taken for a lack of room: the writes that matter will tell.
        """
        self._looked_at = self._disk.now()
        try:
            if self.reserve_bytes < self.whole_bytes:
                self._fill()
            free, _ = self._disk.space(self._path.parent)
        except OSError as error:
            self.left, self.trouble = 0, error.strerror or str(error)
        else:
            self.left = max(free, 0)
            self.trouble = "" if free > 0 else "it is full but for what is reserved"

    def look_if_due(self, now: float) -> None:
        """Look, if the last time is long ago or there is little room left."""
        is_near = self.left < _NEAR_BYTES and not self.trouble
        if is_near or now - self._looked_at >= _LOOK_S:
            self.look()

    def take(self, size: int) -> None:
        """Note that a write of so many bytes comes."""
        self.left = max(self.left - size, 0)

    def give(self, size: int, why: OSError) -> bool:
        """Give up what a write of so many bytes takes; answers whether there was anything left."""
        self.left, self.trouble = 0, why.strerror or str(why)
        self._looked_at = self._disk.now()
        keep = self.reserve_bytes - max(size + _SLACK_BYTES, self.whole_bytes // _SHARE)
        was, self.reserve_bytes = self.reserve_bytes, max(keep, 0)
        try:
            if keep > 0:
                self._cut(keep)
            elif was:
                self._disk.unlink(self._path)
        except OSError:
            self.reserve_bytes = 0  # somebody removed it, or the disk is worse off than that
            return False
        return was > 0

    def _fill(self) -> None:
        try:
            file = self._disk.open(self._path)
        except FileNotFoundError:
            file = self._disk.create(self._path)
        try:
            self._disk.allocate(file, self.whole_bytes)
        except OSError:
            self._disk.truncate(file, self.reserve_bytes)  # what was taken of too little
            raise
        finally:
            self._disk.close(file)
        self.reserve_bytes = self.whole_bytes

    def _cut(self, length: int) -> None:
        file = self._disk.open(self._path)
        try:
            self._disk.truncate(file, length)
        finally:
            self._disk.close(file)

r"""The end of a journal that is written on: the newest segment's file, and those before it.

Where batches are synced one by one, the file ends in blank lines that they are written over:

    … {"op":"ack","ids":[7]}\n{"seal":9, … }\n \n\n\n\n\n\n\n\n\n\n\n\n\n\n
                                      size ────┘            length ────┘

A sync of a file that has grown must also store its new length and where its blocks are, which on a
journalling file system is a transaction of its own, and takes longer than the batch. A sync of
bytes that were written over others stores these and nothing else. So a batch that reaches behind
the blank lines brings new ones with it, in the same write and under the same sync. They are LF, not
zeros, since blank lines mean nothing to whoever reads lines of JSON. They are cut off when the
segment ends, durably before the next one is there, and when the journal is closed; after a crash by
the next start. None are written unless several batches in a row were synced, nor where room on the
disk is not ample. How a batch is torn that was written over them: `recovery.py`.

Failures, each decided on purpose:

    no room                  the file is cut back to its last good batch, some of the reserve is
                             given up, and the batch is written again; when nothing of the reserve
                             is left, it can be stored later, before any other.
    a write fails otherwise  the same cut, so that nothing half-written is left, but no more writes.
    the file has no name     no more writes: somebody removed it, or the whole directory, and what
                             the system still takes for it nobody will ever read.
    a sync fails             no more writes, ever: the system may have thrown the data away and
                             called it clean, and a second sync would answer "done".

After the last three only a new start helps, which reads back what the device really holds.
"""

import contextlib
import errno
from pathlib import Path
from typing import Final

from qserver.errors import StorageFailed, StorageFull
from qserver.storage import seal
from qserver.storage.disk import NO_ROOM, PIECES_MAX, Disk, write_all, write_all_pieces
from qserver.storage.recovery import Found, segment_path
from qserver.storage.room import Room

BLANK_BYTES_MIN: Final = 64 << 10
"""So much is written ahead at a time at least, or up to the segment's end: about 0.3 ms."""

BLANK_BYTES_MAX: Final = 512 << 10
"""And so much at most: about 1 ms."""

BLANK_BATCHES: Final = 64
"""Between the two, so many batches as long as this one."""

BLANK_AFTER_SYNCS: Final = 8
"""So many batches in a row must have been synced."""

BATCH_BYTES_MAX: Final = BLANK_BYTES_MAX // 4
"""A larger batch is written as it is: what takes its time is its own bytes."""

NAMED_S: Final = 0.01
"""Where batches are not synced, it is not asked more often whether the file has a name: that takes
2 to 3 us, as long as all the rest of such a batch."""

COPIED_BYTES_MAX: Final = 64 << 10
"""A batch of less is copied together; one of more would touch fresh memory for that, which takes
longer than to write it."""

PIECE_BYTES_MIN: Final = 4096
"""But pieces that are shorter on the average are: each takes a step of its own in the system."""

_BLANKS: Final = seal.BLANK * BLANK_BYTES_MAX


class Batch:
    """What one commit stores.

    Args:
        segment: where it belongs; begun with this batch if it does not exist yet.
        position: its number.
        pieces: its lines, in pieces of any number of them: few, or one.
        count: how many lines these are.
        oldest: the oldest segment that is needed once this batch is stored.
        sync: whether it must survive a power cut.
    """

    __slots__ = ("count", "oldest", "pieces", "position", "segment", "sync")

    def __init__(
        self,
        segment: int,
        position: int,
        pieces: list[bytes],
        count: int,
        oldest: int,
        *,
        sync: bool,
    ) -> None:
        self.segment = segment
        self.position = position
        self.pieces = pieces
        self.count = count
        self.oldest = oldest
        self.sync = sync


class _NoRoomError(Exception):
    """A write of a batch or of a segment's header found no room, and nothing of it is left."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


def _raise_if_no_room(error: OSError) -> None:
    if error.errno in NO_ROOM:
        raise _NoRoomError(error) from error


def pieces_of(records: list[bytes], size: int) -> list[bytes]:
    """The pieces that a batch of these records, which have that size together, is written in."""
    is_long = size >= COPIED_BYTES_MAX and size >= len(records) * PIECE_BYTES_MIN
    return records.copy() if is_long and len(records) < PIECES_MAX - 1 else [b"".join(records)]


class End:
    """Writes batches behind the last one. Its calls may come from a thread, one at a time.

    But for `sync`, which may run beside the `store` of a batch that needs neither a sync nor a new
    segment; and for `remove_dropped`, which may run beside either.

    Attributes:
        refusal: why nothing more is written; empty while all is well.
        oldest: the oldest segment that exists; 0 if none does.
        dropped_before: older segments are not needed: a seal says so that survives a power cut.
        segment: the one whose file is written on; 0 if there is none yet.
        size: its length in bytes, without the blank lines at its end.
        bytes_max: where blank lines end at the latest.
        synced: how much of it is known to survive a power cut.
        unsynced_since: time of the oldest write that is not synced yet.
        last_sync_s: how long the last sync took.
    """

    def __init__(self, disk: Disk, directory: Path, found: Found, room: Room) -> None:
        self.refusal = ""
        self.oldest = min(found.sizes, default=0)
        self.dropped_before = found.chain.oldest
        self.segment = 0
        self.size = 0
        self.bytes_max = 0
        self.synced = 0
        self.unsynced_since: float | None = None
        self.last_sync_s = 0.0
        self._disk = disk
        self._directory = directory
        self._room = room
        self._chain = found.chain
        self._sizes = found.sizes  # of every segment that exists; behind the times for the newest
        self._older_bytes = 0  # of all that are needed but the newest
        self._syncs_in_row = 0
        self._named_until = 0.0
        self._file = -1
        self._length = 0  # of the file, blank lines and all
        if found.sizes:
            self.segment = max(found.sizes)
            self.size = self.synced = self._length = found.sizes[self.segment]
            self._older_bytes = self._bytes_of(self.dropped_before, self.segment)
            self._file = disk.open(segment_path(directory, self.segment))

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return len(self._sizes)

    @property
    def journal_bytes(self) -> int:
        """Length of all segments together, without blank lines and what is dropped."""
        return self._older_bytes + self.size

    def store(self, batch: Batch) -> None:
        """Write one batch, with all that has to come before and after it.

        Raises:
            StorageFull: nothing of it was written. To be called with the same batch again, before
                any other.
            StorageFailed: unknown; nothing more is written.
        """
        self.check_usable()
        now = self._disk.now()
        sync = batch.sync
        try:
            while not self._is_written(batch, now):
                pass  # each time with less of a reserve
            self._room.look_if_due(now)
            drops = batch.oldest > self.dropped_before
            if sync or drops:
                self.sync()
            if drops:
                self._older_bytes -= self._bytes_of(self.dropped_before, batch.oldest)
                self.dropped_before = batch.oldest
            self._syncs_in_row = self._syncs_in_row + 1 if sync else 0
        except OSError as error:
            raise self._broken("can't write", error) from error

    def sync(self) -> None:
        """Make what was written survive a power cut.

        Raises:
            StorageFailed: unknown whether it does; nothing more is written.
        """
        self.check_usable()
        size, disk = self.size, self._disk
        begun = disk.now()
        try:
            disk.sync(self._file)
        except OSError as error:
            raise self._broken("can't sync", error) from error
        self.last_sync_s = disk.now() - begun
        # A batch stored meanwhile may have made the file longer; it counts from then on.
        self.synced = max(size, self.synced)
        self.unsynced_since = None if self.size == size else begun

    def remove_dropped(self) -> None:
        """Oldest first, and each for good, so that what a crash leaves is in one piece.

        It may take seconds: some disks are told of each block that is free again. Some file systems
        need room to remove a file; without it, it is to be tried again.

        Raises:
            StorageFailed: nothing more is written.
        """
        self.check_usable()
        try:
            for older in [number for number in list(self._sizes) if number < self.dropped_before]:
                self._disk.unlink(segment_path(self._directory, older))
                self._disk.sync_directory(self._directory)
                del self._sizes[older]
                self.oldest = min(self._sizes)  # at one stroke: `store` may add one meanwhile
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise self._broken("can't remove a segment", error) from error

    def check_usable(self) -> None:
        """Raise `StorageFailed` if nothing more is written."""
        if self.refusal:
            raise StorageFailed(self.refusal)

    def close(self) -> None:
        """Sync, if that is allowed and needed, and close the file.

        Blank lines are cut off, for whoever reads the file. That this fails does no harm.
        """
        try:
            if not self.refusal:
                with contextlib.suppress(OSError):
                    self._cut_blanks()
                if self.synced != self.size:
                    self.sync()
        finally:
            if self._file >= 0:
                self._disk.close(self._file)

    def _is_written(self, batch: Batch, now: float) -> bool:
        """Whether there was room for the batch; if not, some more was made of the reserve."""
        try:
            if batch.segment != self.segment:
                self._roll(batch.segment)
            self._write(batch, now)
        except _NoRoomError as lack:
            if self._room.give(sum(map(len, batch.pieces)) + seal.SEAL_BYTES_MAX, lack.error):
                return False
            text = f"{self._directory}: no room for the batch, which waits: {lack.error.strerror}"
            raise StorageFull(text) from lack.error
        return True

    def _write(self, batch: Batch, now: float) -> None:
        chain, size, disk = self._chain, self.size, self._disk
        position, pieces = batch.position, batch.pieces
        line, crc = seal.seal(
            chain.crc, position, pieces, batch.count, synced=self.synced, oldest=batch.oldest
        )
        end = size + sum(map(len, pieces)) + len(line)
        blanks = self._blanks_behind(end, batch) if end > self._length else b""
        try:
            if end - size < COPIED_BYTES_MAX:
                write_all(disk, self._file, b"".join((*pieces, line, blanks)), size)
            else:
                write_all_pieces(disk, self._file, [*pieces, line, blanks], size)
        except OSError as error:
            disk.truncate(self._file, size)
            self._length = size
            _raise_if_no_room(error)
            raise
        if batch.sync or now >= self._named_until:
            if not disk.is_linked(self._file):
                gone = segment_path(self._directory, self.segment)
                raise FileNotFoundError(errno.ENOENT, "the file was removed", str(gone))
            self._named_until = now + NAMED_S
        chain.position, chain.crc = position, crc
        self.size = end
        if end > self._length:
            self._length = end + len(blanks)
        if self.unsynced_since is None:
            self.unsynced_since = now

    def _blanks_behind(self, end: int, batch: Batch) -> bytes:
        """The blank lines to come with a batch that ends there, if any."""
        size = end - self.size
        is_rare = not batch.sync or self._syncs_in_row < BLANK_AFTER_SYNCS
        if is_rare or size > BATCH_BYTES_MAX or not self._room.is_ample:
            return b""
        length = max(size * BLANK_BATCHES, BLANK_BYTES_MIN)
        return _BLANKS[: max(min(length, self.bytes_max - end), 0)]

    def _cut_blanks(self) -> bool:
        """Let the file end with its last batch; answers whether it did not."""
        if self._length <= self.size:
            return False
        self._disk.truncate(self._file, self.size)
        self._length = self.size
        return True

    def _roll(self, segment: int) -> None:
        """End the segment that is written on, if any, and begin another.

        The old one is synced first, so that only the newest can be torn, or end in blank lines.
        """
        was_blank = self._cut_blanks()
        if was_blank or self.synced != self.size:
            self.sync()
        header = seal.header(segment, self._chain.crc)
        try:
            file = self._create(segment_path(self._directory, segment), header)
        except OSError as error:
            _raise_if_no_room(error)
            raise
        try:
            self._disk.sync(file)
            self._disk.sync_directory(self._directory)
        except OSError:
            self._disk.close(file)
            raise
        if self._file >= 0:
            self._disk.close(self._file)
            self._sizes[self.segment] = self.size
            self._older_bytes += self.size
        self._file, self.segment = file, segment
        self.oldest = self.oldest or segment
        self.size = self.synced = self._length = self._sizes[segment] = len(header)

    def _create(self, path: Path, content: bytes) -> int:
        file = self._disk.create(path)
        try:
            write_all(self._disk, file, content, 0)
        except OSError:
            self._disk.close(file)
            self._disk.unlink(path)
            raise
        return file

    def _bytes_of(self, first: int, end: int) -> int:
        """What the segments from one on, and before another, take."""
        return sum(size for number, size in list(self._sizes.items()) if first <= number < end)

    def _broken(self, what: str, error: OSError) -> StorageFailed:
        """Refuse everything from now on."""
        self.refusal = f"{self._directory}: {what}: {error}; no more is written until a new start"
        return StorageFailed(self.refusal)

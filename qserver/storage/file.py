"""The file driver: a journal in a directory of segments, written by one process.

A batch is one write: its records and their seal. Then, if it is to survive a power cut, one sync.
Where the two happen depends on how long they take. A thread lets the loop go on, and costs about
0.1 ms of CPU, and more of waiting; and since the next batch gathers meanwhile, batches are half as
large and twice as many. So it is used unless the last few syncs were quick, or at least not slow,
where one client is all there is. A commit that needs no sync is done where it stands, since writing
to the system's memory is quicker than a thread.

    segment under way ── commit takes it past its size ──► `segment` names the next one at once;
                                                           its file is made by the next commit:
                                                           sync the old, create, sync the name

When the disk is full, even of the reserve that `room.py` keeps, the batch is kept as it is, with
its position and its segment, and the next commit stores that and nothing else: by then the records
behind it have been told their own. While there is no room everything is done in the thread, since
making room takes its time. On a small disk segments are small, so that working a queue off lets
some be dropped, which makes room.

Dropping: `drop_before` only notes the segment. The next commit's seal says that older ones are not
needed, and is synced; then they are unlinked, oldest first, in a thread that nobody waits for:
that can take seconds. So it costs the loop nothing, nothing that replaces a dropped record can be
lost after it, and a segment that is missing without a seal that says so was lost.

What is done when the disk fails: `segment.py`.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Final

from qserver.errors import Locked, StorageFailed, StorageFull
from qserver.ports import Progress
from qserver.storage import recovery
from qserver.storage.disk import Disk, RealDisk
from qserver.storage.loss import kept_of_damage
from qserver.storage.room import Room
from qserver.storage.seal import SEAL_BYTES_MAX
from qserver.storage.segment import Batch, End, pieces_of

LOCK_NAME: Final = "lock"

SEGMENT_BYTES_MAX: Final = 64 << 20
"""A segment ends with the batch that takes it to about this."""

SEGMENTS_PER_DISK_MIN: Final = 16
"""A segment takes no larger part of the disk, nor of what a file may have."""

_QUICK_S: Final = 0.001
"""A sync that takes less may hold up the loop."""

_BEARABLE_S: Final = 0.005
"""A sync that takes less may hold up the loop where nobody else is connected."""

_QUICK_SYNCS: Final = 8
"""So many quick ones in a row before that is believed."""


def open_directory(
    directory: Path | str,
    *,
    segment_bytes_max: int = SEGMENT_BYTES_MAX,
    disk: Disk | None = None,
) -> "FileJournal":
    """Own the journal in a directory, which is created if absent. To be replayed before use.

    Raises:
        Locked: another process owns it.
        StorageFailed: the directory can't be created or used.
    """
    directory = Path(directory)
    disk = RealDisk() if disk is None else disk
    try:
        disk.make_directory(directory)
    except OSError as error:
        raise StorageFailed(f"{directory}: can't use the directory: {error}") from error
    return FileJournal(disk, directory, lock(disk, directory), segment_bytes_max)


def lock(disk: Disk, directory: Path) -> int:
    """Own a directory until what this answers is closed.

    Raises:
        Locked: another process owns it.
        StorageFailed: it can't be used.
    """
    try:
        return disk.lock(directory / LOCK_NAME)
    except BlockingIOError:
        raise Locked(_who_holds(disk, directory)) from None
    except OSError as error:
        raise StorageFailed(f"{directory}: can't use the directory: {error}") from error


def _who_holds(disk: Disk, directory: Path) -> str:
    pid = b""
    with contextlib.suppress(OSError):
        pid = disk.read(directory / LOCK_NAME).strip()
    who = f" (process {int(pid)})" if pid.isdigit() else ""
    return f"{directory} is in use by another server{who}"


class FileJournal:
    """A `Journal` in files; made by `open_directory`.

    Attributes:
        torn: what the replay cut from the journal's end, if anything.
        damaged: what repairs have given up so far: records and bytes.
        position, segment, segment_bytes_max, is_kept, append: see `Journal`.
    """

    def __init__(self, disk: Disk, directory: Path, lock: int, segment_bytes_max: int) -> None:
        self.torn: recovery.Torn | None = None
        self.damaged = 0, 0
        self.position = 1
        self.segment = 1
        self.segment_bytes_max = segment_bytes_max
        self.is_kept = True
        self._disk = disk
        self._directory = directory
        self._lock = lock
        self._syncer = disk.thread("journal")
        self._writer = disk.thread("journal-write")
        self._remover = disk.thread("journal-drop")
        self._is_removing = False
        self._room = Room(disk, directory, segment_bytes_max)
        self._end = End(disk, directory, recovery.Found(), self._room)
        self._end.refusal = f"{directory}: the journal has not been replayed"

        self._records: list[bytes] = []  # or pieces of several
        self._more = 0  # records than there are pieces
        self.append: Callable[[bytes], None] = self._records.append
        self._kept: Batch | None = None
        self._oldest_needed = 1
        self._committing = False
        self._syncs_under_way = 0
        self._quick_syncs = 0
        self._bearable_syncs = 0

    def extend(self, lines: bytes, count: int) -> None:
        """See `Journal`."""
        self._records.append(lines)
        self._more += count - 1

    @property
    def size(self) -> int:
        """See `Journal`."""
        return self._end.journal_bytes

    @property
    def pending(self) -> bool:
        """See `Journal`."""
        return bool(self._records) or self._kept is not None

    @property
    def pending_bytes(self) -> int:
        """See `Journal`."""
        records = self._records
        return len(records[0]) if len(records) == 1 else sum(map(len, records))

    @property
    def room(self) -> int:
        """See `Journal`."""
        return self._room.left

    def replay(self, progress: Progress | None = None) -> Generator[tuple[int, bytes], None, None]:
        """See `Journal`; what is damage and what is a torn end, see `recovery.py`.

        Raises:
            Damaged: nothing was changed.
            NewerFormat: nothing was changed.
            StorageFailed: the directory can't be read, or a torn end can't be cut off.
        """
        found = yield from recovery.read_back(self._disk, self._directory, progress)
        try:
            self._end = end = End(self._disk, self._directory, found, self._room)
        except OSError as error:
            raise StorageFailed(f"{self._directory}: can't write: {error}") from error
        self.torn = found.torn
        with contextlib.suppress(OSError):  # nothing depends on it
            self.damaged = kept_of_damage(self._disk, self._directory)
        self._oldest_needed = found.chain.oldest
        self._room.open()
        self.segment_bytes_max = min(
            self.segment_bytes_max, self._room.disk_bytes // SEGMENTS_PER_DISK_MIN
        )
        end.bytes_max = self.segment_bytes_max
        # The newest segment may have been begun for a batch that never came.
        self.position = max(found.chain.position + 1, end.segment)
        goes_on = end.segment and not self._is_long(end.size)
        self.segment = end.segment if goes_on else self.position
        self._note_owner()

    def commit(self, *, sync: bool, alone: bool = False) -> "Future[None] | None":
        """See `Journal`. One that rolls, or says what is dropped, does so in the thread."""
        assert not self._committing, "a commit while another is under way"
        end = self._end
        end.check_usable()
        drops = self._oldest_needed > end.dropped_before
        batch = self._kept
        if batch is None:
            if not self._records and not drops:
                return self.sync() if sync else None
            batch = self._gather(sync=sync)
        elif sync:
            batch.sync = True
        self._committing = True
        if batch.segment == end.segment and not drops and self._room.left:
            if not sync and self._syncs_under_way:
                # The system may let a write wait for a sync of the same file, and the loop with it.
                return self._in_thread(self._writer, self._store, batch)
            if not sync or self._may_sync_here(alone=alone):
                self._store(batch)
                return None
        waited = self._in_thread(self._syncer, self._store, batch)
        if waited is None:
            self._remove_dropped()
        elif drops:
            waited.add_done_callback(self._begin_to_remove)
        return waited

    def _gather(self, *, sync: bool) -> Batch:
        """Make a batch of what was appended, and decide where the next one will be."""
        records, segment = self._records, self.segment
        size = self.pending_bytes
        pieces = pieces_of(records, size)
        count = len(records) + self._more
        batch = Batch(segment, self.position, pieces, count, self._oldest_needed, sync=sync)
        records.clear()
        self._more = 0
        self._room.take(size)
        self.position += 1
        if segment == self._end.segment:
            size += self._end.size
        if self._is_long(size + SEAL_BYTES_MAX):
            self.segment = self.position
        return batch

    def sync(self) -> "Future[None] | None":
        """See `Journal`."""
        self._end.check_usable()
        if self._end.synced == self._end.size:
            return None
        self._syncs_under_way += 1
        return self._in_thread(self._syncer, self._sync)

    def drop_before(self, segment: int) -> None:
        """See `Journal`. Takes effect with the next commit, which may be one of no records."""
        assert segment <= self.segment, "dropping a segment that is still to come"
        self._oldest_needed = max(self._oldest_needed, segment)

    def look_for_room(self) -> "Future[None] | None":
        """See `Journal`. What could not be removed is tried again too."""
        self._begin_to_remove()
        if self._room.left or self._end.refusal:
            return None
        return self._in_thread(self._syncer, self._room.look)

    def stats(self) -> dict[str, int | float | str]:
        """Sizes and ages; `storage_error` is empty while all is well."""
        end, torn, room, since = self._end, self.torn, self._room, self._end.unsynced_since
        age_s = 0.0 if since is None else self._disk.now() - since
        return {
            "segments": end.segments,
            "journal_bytes": end.journal_bytes,
            "last_sync_ms": round(end.last_sync_s * 1000, 3),
            "unsynced_age_s": round(age_s, 3),
            "torn_bytes": torn.bytes if torn else 0,
            "torn_file": torn.file if torn else "",
            "torn_offset": torn.offset if torn else 0,
            "damaged_records": self.damaged[0],
            "damaged_bytes": self.damaged[1],
            "disk_room": "yes" if room.left else "no",
            "reserve_bytes": room.reserve_bytes,
            "storage_error": end.refusal or room.trouble,
        }

    def close(self) -> None:
        """See `Journal`. After a failure it only gives up the lock."""
        if self._lock < 0:
            return
        for thread in (self._writer, self._syncer, self._remover):
            thread.shutdown()
        try:
            self._end.close()
        finally:
            self._end.refusal = self._end.refusal or f"{self._directory}: the journal is closed"
            self._disk.close(self._lock)
            self._lock = -1

    def _is_long(self, size: int) -> bool:
        """Whether a segment of that size is not written on."""
        return size >= self.segment_bytes_max

    def _may_sync_here(self, *, alone: bool) -> bool:
        # The system reports a failed sync to one of two that run at a time: the other one's "done"
        # would be a lie. So beside a sync in the thread, none is made here.
        syncs = self._bearable_syncs if alone else self._quick_syncs
        return syncs >= _QUICK_SYNCS and not self._syncs_under_way

    @staticmethod
    def _in_thread(
        thread: Executor, work: Callable[..., None], *args: object
    ) -> "Future[None] | None":
        """Run it beside the loop; where none runs, here."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            work(*args)
            return None
        return thread.submit(work, *args)

    def _store(self, batch: Batch) -> None:
        try:
            self._end.store(batch)
            self._kept = None
            if batch.sync:
                self._note_sync(self._end.last_sync_s)
        except StorageFull:
            self._kept = batch
            raise
        finally:
            self._committing = False

    def _sync(self) -> None:
        try:
            self._end.sync()
            self._note_sync(self._end.last_sync_s)
        finally:
            self._syncs_under_way -= 1

    def _begin_to_remove(self, _: object = None) -> None:
        end = self._end
        if 0 < end.oldest < end.dropped_before and not self._is_removing and not end.refusal:
            self._is_removing = True
            self._remover.submit(self._remove_dropped)

    def _remove_dropped(self) -> None:
        try:
            self._end.remove_dropped()
        finally:
            self._is_removing = False

    def _note_sync(self, took: float) -> None:
        self._quick_syncs = self._quick_syncs + 1 if took < _QUICK_S else 0
        self._bearable_syncs = self._bearable_syncs + 1 if took < _BEARABLE_S else 0

    def _note_owner(self) -> None:
        """Leave the process id for whoever finds the directory locked; a courtesy, no promise.

        Not before the replay is done: a start that is refused changes no file.
        """
        with contextlib.suppress(OSError):
            self._disk.truncate(self._lock, 0)
            self._disk.write(self._lock, b"%d\n" % os.getpid(), 0)

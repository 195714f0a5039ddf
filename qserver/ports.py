"""The storage seam: what the server asks of a journal without knowing it.

Drivers: `storage/file.py`, `storage/memory.py`; `tests/storage_contract` is the suite that each
must pass. What the lines of a journal say is no concern of a driver's: see `facts.py`.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Protocol

Progress = Callable[[int, int], None]
"""Told now and then during a replay: bytes read, bytes in all."""


class Source(Protocol):
    """What records can be read back from."""

    def replay(self, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
        """See `Journal`."""
        ...


class Journal(Protocol):
    """An ordered sequence of opaque records, kept durably and given back.

    A record is one line of UTF-8 that ends in LF and holds no other. A driver knows no queue
    rule, so every driver has every feature. One owner at a time; its calls come from one thread.

    Records are gathered by `append` and stored by `commit`, all that were gathered since the last
    one together: a *batch*, which is stored whole or not at all. Batches are numbered from 1,
    growing: that number is a *position*. Consecutive batches share a *segment*, the unit in which
    old records are dropped; a segment is named by the position of the batch that it was begun for.
    """

    @property
    def position(self) -> int:
        """Position of the batch that is being gathered. Only grows."""
        ...

    @property
    def segment(self) -> int:
        """Segment that the batch being gathered will be stored in. Only grows.

        It changes only inside a `commit` that takes what was appended (which may roll to a new
        segment for the *next* batch), so between two such commits every appended record belongs to
        this segment.
        """
        ...

    @property
    def size(self) -> int:
        """Bytes that all segments take."""
        ...

    @property
    def segment_bytes_max(self) -> int:
        """A segment ends with the batch that takes it to about this."""
        ...

    @property
    def is_kept(self) -> bool:
        """Whether anybody can read back what is stored: else nothing need be appended."""
        ...

    @property
    def append(self) -> Callable[[bytes], None]:
        """Adds one record to the batch being gathered. Cheap: it stores nothing.

        A property that answers a callable, so that a caller on the hot path can keep it.
        """
        ...

    @property
    def extend(self) -> Callable[[bytes, int], None]:
        """Adds so many records that stand behind one another in one piece; as `append`."""
        ...

    @property
    def pending(self) -> bool:
        """Whether a commit has records to store: appended since the last one began, or kept."""
        ...

    @property
    def pending_bytes(self) -> int:
        """Bytes appended since the last commit began. Costs a look at each record."""
        ...

    @property
    def room(self) -> int:
        """About how many bytes of new messages can be committed, besides what already was.

        0 says that what is left is reserved for the end of messages that are stored already:
        commits go on, but nothing should be appended that can be refused. Cheap.
        """
        ...

    def replay(self, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
        """Everything stored, oldest first, as `(segment, records)`.

        Each item is a run of whole records of one segment, several batches together where that
        is cheaper. To be exhausted once, before the first `append`. An incomplete last batch is
        normal: it is set aside and left out.

        Raises:
            Damaged: something other than the last batch is not what was written.
        """
        ...

    def commit(self, *, sync: bool, alone: bool = False) -> "Future[None] | None":
        """Store what was appended as one batch.

        Call it only when no earlier commit is under way. Records appended after the call belong to
        the next batch.

        A batch for which there is no room is kept, with its position and its segment. The next
        call stores that one and nothing else, synced if either call asked for it; what was
        appended meanwhile stays appended. So nothing is stored out of order, and one may try again
        until there is room.

        Args:
            sync: whether the batch must survive a power cut before this is done; otherwise it
                must survive the end of this process.
            alone: whether there is one client at most, so that a commit that is done where it
                stands holds up nobody else.

        Returns:
            None when it is done already; else, and that can be so without `sync` too, a future that
            knows it at once, in every thread: an event loop's own would tell some turns later. Not
            to be cancelled.

        Raises:
            StorageFull: nothing of the batch was stored, and it is kept. Raised by this call, or
                by what it returned.
            StorageFailed: unknown; the driver refuses everything from now on.
            Fenced: another owner wrote here.
        """
        ...

    def sync(self) -> "Future[None] | None":
        """Make every committed batch survive a power cut. May overlap with `append` and `commit`.

        Raises:
            StorageFailed: as for `commit`.
        """
        ...

    def look_for_room(self) -> "Future[None] | None":
        """Find out whether there is `room` again, if there was none; to be called now and then.

        Commits do it too. May overlap with all else. Does not fail.
        """
        ...

    def drop_before(self, segment: int) -> None:
        """Forget every segment older than `segment`, which is not past the present one.

        It is done with the next commit, which may hold no records. What the kept segments hold is
        synced first, so that nothing that replaces a dropped record can be lost after it.
        """
        ...

    def stats(self) -> dict[str, int | float | str]:
        """Figures for people, by name with the unit last: sizes, segments, the last sync's time."""
        ...

    def close(self) -> None:
        """Sync, then give up the ownership; after a failure, only that."""
        ...

"""The seams: what one room asks of another without knowing it.

    Journal    what keeps records durably. Drivers: `storage/file.py`, `storage/memory.py`;
               `tests/storage_contract` is the suite that each must pass.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

Progress = Callable[[int, int], None]
"""Told now and then during a replay: bytes read, bytes in all."""


class Journal(Protocol):
    """An ordered sequence of opaque records, kept durably and given back.

    A record is one line of UTF-8 that ends in LF and holds no other. A driver knows no queue
    rule, so every driver has every feature. One owner at a time; its calls come from one thread.

    Records are gathered by `append` and stored by `commit`, all that were gathered since the last
    one together: a *batch*, which is stored whole or not at all. Batches are numbered from 1
    without a gap: that number is a *position*. Consecutive batches share a *segment*, the unit in
    which old records are dropped; a segment is named by the position of its first batch.
    """

    @property
    def position(self) -> int:
        """Position of the batch that is being gathered. Only grows."""
        ...

    @property
    def segment(self) -> int:
        """Segment that the batch being gathered will be stored in. Only grows.

        It changes only inside `commit` (which may roll to a new segment for the *next* batch), so
        between two commits every appended record belongs to this segment.
        """
        ...

    @property
    def append(self) -> Callable[[bytes], None]:
        """Adds one record to the batch being gathered. Cheap: it stores nothing.

        A property that answers a callable, so that a caller on the hot path can keep it.
        """
        ...

    @property
    def pending(self) -> bool:
        """Whether records have been appended since the last commit began."""
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

    def commit(self, *, sync: bool, waiting: int = 1) -> Awaitable[None] | None:
        """Store what was appended as one batch.

        Call it only when no earlier commit is under way. Records appended after the call belong to
        the next batch.

        Args:
            sync: whether the batch must survive a power cut before this is done; otherwise it
                must survive the end of this process.
            waiting: how many clients wait for it. A driver may do a quick commit where it stands
                when few wait, and overlap it with their next requests when many do.

        Returns:
            None when it is done already, else what to await.

        Raises:
            StorageFull: nothing of the batch was stored (the batch is given up).
            StorageFailed: unknown; the driver refuses everything from now on.
            Fenced: another owner wrote here.
        """
        ...

    def sync(self) -> Awaitable[None] | None:
        """Make every committed batch survive a power cut. May overlap with `append` and `commit`.

        Raises:
            StorageFailed: as for `commit`.
        """
        ...

    def drop_before(self, segment: int) -> None:
        """Forget every segment older than `segment`.

        What the kept segments hold is synced first, so that nothing that replaces a dropped record
        can be lost after it.
        """
        ...

    def stats(self) -> dict[str, int | float | str]:
        """Figures for people, by name with the unit last: sizes, segments, the last sync's time."""
        ...

    def close(self) -> None:
        """Sync, then give up the ownership. Not called after a failure."""
        ...

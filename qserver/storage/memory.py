"""A journal that keeps nothing: for tests, and for a server whose messages may die with it.

Without a store, what is committed is forgotten at once, since nobody will ever ask for it. A
`MemoryStore` stands for what a directory is to the file driver: it outlives the journal that is
opened on it, so that a driver's tests, reopening included, run here too.
"""

from collections.abc import Callable, Generator
from typing import Final

from qserver.errors import Locked, StorageFailed
from qserver.ports import Progress

_SEGMENT_BYTES_MAX: Final = 64 << 20
_ROOM: Final = 1 << 62


class MemoryStore:
    """Batches by segment, and whether a journal is open on them."""

    def __init__(self) -> None:
        self.segments: dict[int, list[bytes]] = {}
        self.position = 1
        self.size = 0
        self.open = False


class MemoryJournal:
    """A `Journal` in a `MemoryStore`, or in nothing.

    Raises:
        Locked: another journal is open on the store.
    """

    def __init__(
        self, store: MemoryStore | None = None, *, segment_bytes_max: int = _SEGMENT_BYTES_MAX
    ) -> None:
        self._is_kept = store is not None
        self._store = store or MemoryStore()
        if self._store.open:
            raise Locked("the store is in use by another journal")
        self._store.open = True
        self._segment_bytes_max = segment_bytes_max
        self._segment = max(self._store.segments, default=self._store.position)
        self._size = sum(map(len, self._store.segments.get(self._segment, ())))
        self._records: list[bytes] = []
        self._append = self._records.append
        self._replayed = False

    @property
    def position(self) -> int:
        """See `Journal`."""
        return self._store.position

    @property
    def segment(self) -> int:
        """See `Journal`."""
        return self._segment

    @property
    def size(self) -> int:
        """See `Journal`."""
        return self._store.size

    @property
    def segment_bytes_max(self) -> int:
        """See `Journal`."""
        return self._segment_bytes_max

    @property
    def is_kept(self) -> bool:
        """See `Journal`: with a store of the caller's own, another journal reads it back."""
        return self._is_kept

    @property
    def append(self) -> Callable[[bytes], None]:
        """See `Journal`."""
        return self._append

    def extend(self, lines: bytes, count: int) -> None:
        """See `Journal`; they are not counted here."""
        del count
        self._append(lines)

    @property
    def pending(self) -> bool:
        """See `Journal`."""
        return bool(self._records)

    @property
    def pending_bytes(self) -> int:
        """See `Journal`."""
        return sum(map(len, self._records))

    @property
    def room(self) -> int:
        """See `Journal`: what the memory holds is bounded elsewhere."""
        return _ROOM

    def look_for_room(self) -> None:
        """See `Journal`; there always is."""

    def replay(self, progress: Progress | None = None) -> Generator[tuple[int, bytes], None, None]:
        """See `Journal`."""
        batches = [
            (segment, batch) for segment, stored in self._store.segments.items() for batch in stored
        ]
        for done, (segment, batch) in enumerate(batches, 1):
            yield segment, batch
            if progress is not None:
                progress(done, len(batches))
        self._replayed = True

    def commit(self, *, sync: bool, alone: bool = False) -> None:
        """See `Journal`; always done at once."""
        del sync, alone
        self._check_usable()
        if not self._records:
            return
        batch = b"".join(self._records)
        self._records.clear()
        if self._is_kept:
            self._store.segments.setdefault(self._segment, []).append(batch)
            self._store.size += len(batch)
        self._store.position += 1
        self._size += len(batch)
        if self._size > self._segment_bytes_max:
            self._segment = self._store.position
            self._size = 0

    def sync(self) -> None:
        """See `Journal`; always done at once."""
        self._check_usable()

    def drop_before(self, segment: int) -> None:
        """See `Journal`."""
        assert segment <= self._segment, "dropping a segment that is still to come"
        for older in [number for number in self._store.segments if number < segment]:
            self._store.size -= sum(map(len, self._store.segments.pop(older)))

    def stats(self) -> dict[str, int | float | str]:
        """See `Journal`."""
        segments = len(self._store.segments)
        return {"segments": segments, "journal_bytes": self._store.size, "storage_error": ""}

    def close(self) -> None:
        """See `Journal`."""
        self._replayed = False
        self._store.open = False

    def _check_usable(self) -> None:
        if not self._replayed:
            raise StorageFailed("the journal is closed, or has not been replayed")

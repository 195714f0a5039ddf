"""The dedup keys of one queue: which id a key was stored under, for the queue's window."""

from collections import deque


class Dedup:
    """Keys with the time until which each holds, in monotonic seconds.

    They stand in the order of their segments, and expire in the order they came while the window
    stays the same; after it was shortened, an older key can keep a newer one in memory a little
    longer, but `find` never answers with a key whose time is over.
    """

    __slots__ = ("_keys", "_order")

    def __init__(self) -> None:
        self._keys: dict[str, tuple[int, float, int]] = {}
        self._order: deque[tuple[str, float]] = deque()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str, now: float) -> int | None:
        """The id that was stored under the key, if that holds still."""
        entry = self._keys.get(key)
        return entry[0] if entry is not None and entry[1] > now else None

    def add(self, key: str, message_id: int, until: float, segment: int) -> int | None:
        """Remember a key; `segment` is where the journal has it.

        Returns:
            The segment of an entry that this replaces, if there was one.
        """
        old = self._keys.pop(key, None)  # so that it goes to the end
        self._keys[key] = (message_id, until, segment)
        self._order.append((key, until))
        return None if old is None else old[2]

    def expire(self, now: float) -> list[int]:
        """Forget the keys whose time is over; the segments that had them."""
        segments = []
        while self._order and self._order[0][1] <= now:
            key, until = self._order.popleft()
            entry = self._keys.get(key)
            if entry is not None and entry[1] == until:
                del self._keys[key]
                segments.append(entry[2])
        return segments

    def move(self, segment: int, target: int, count: int) -> list[tuple[str, int, float]]:
        """Let keys that stand in `segment`, the oldest one, stand in `target`: up to `count`.

        Returns:
            Key, id, and until when it holds, of each.
        """
        found: list[tuple[str, int, float]] = []
        for key, (message_id, until, where) in self._keys.items():
            if where != segment or len(found) >= count:
                break
            found.append((key, message_id, until))
        for key, message_id, until in found:
            del self._keys[key]
            self._keys[key] = (message_id, until, target)
        return found

    def shift(self, seconds: float) -> None:
        """Let every key hold so much longer."""
        for key, (message_id, until, segment) in self._keys.items():
            self._keys[key] = (message_id, until + seconds, segment)
        self._order = deque((key, until + seconds) for key, until in self._order)

    def sort(self) -> None:
        """Put keys that were added out of order into the order in which they expire."""
        self._order = deque(sorted(self._order, key=lambda entry: entry[1]))

    def next_deadline(self) -> float | None:
        """When the first key expires."""
        return self._order[0][1] if self._order else None

    def segments(self) -> list[int]:
        """The segment of each key."""
        return [entry[2] for entry in self._keys.values()]

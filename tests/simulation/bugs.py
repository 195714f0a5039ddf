"""Bugs that we fear, as patches of the real code: a simulation must find each of them.

Each is a function that breaks something through pytest's monkeypatch, and what the simulation is
then to complain about.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from qserver.broker import checkpoint, get, settle
from qserver.broker.broker import Broker
from qserver.broker.ready import Ready
from qserver.broker.restore import Restorer
from qserver.errors import StorageFailed, StorageFull
from qserver.server.commit import Committer
from qserver.storage.file import FileJournal
from qserver.storage.recorder import JournalRecorder
from qserver.storage.segment import End
from tests.sim_disk import SimDisk

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@dataclass(frozen=True)
class Bug:
    """A planted bug.

    Attributes:
        complaint: a pattern of what the simulation must say.
        found_by: a seed that was seen to find it; a hint only.
    """

    plant: Plant
    complaint: str
    found_by: int = 0


def replies_do_not_wait_for_the_commit(patch: Patch) -> None:
    def hold(_self: object, recipient: Any, reply: bytes) -> None:
        recipient.release(reply)

    patch.setattr(Committer, "hold", hold)


def batches_are_not_synced(patch: Patch) -> None:
    patch.setattr(Committer, "_must_sync", lambda _self: False)


def names_of_files_are_not_synced(patch: Patch) -> None:
    patch.setattr(SimDisk, "sync_directory", lambda _self, _path: None)


def a_failed_sync_is_taken_for_done(patch: Patch) -> None:
    sync = End.sync

    def careless(self: End) -> None:
        try:
            sync(self)
        except StorageFailed:
            self.refusal = ""
            self.synced = self.size

    patch.setattr(End, "sync", careless)


def a_batch_without_room_is_thrown_away(patch: Patch) -> None:
    store = FileJournal._store

    def careless(self: FileJournal, batch: Any) -> None:
        try:
            store(self, batch)
        except StorageFull:
            self._kept = None

    patch.setattr(FileJournal, "_store", careless)


def numbers_are_not_reserved(patch: Patch) -> None:
    patch.setattr(Broker, "_reserve", lambda _self: None)


def any_receipt_of_a_leased_message_will_do(patch: Patch) -> None:
    ack = settle.ack

    def careless(
        broker: Broker, now: float, receipts: Iterable[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        current = [
            (number, broker.messages[number].lease if number in broker.messages else 0)
            for number, _ in receipts
        ]
        return ack(broker, now, [receipt for receipt in current if receipt[1]])

    patch.setattr(settle, "ack", careless)


def leases_end_early(patch: Patch) -> None:
    lease = get._lease

    def careless(broker: Any, now: float, queue: Any, messages: Any, lease_s: Any, of: Any) -> None:
        lease(broker, now, queue, messages, (lease_s or queue.settings.lease) * 0.7, of)

    patch.setattr(get, "_lease", careless)


def a_returned_message_goes_behind_the_others(patch: Patch) -> None:
    back = Broker.make_ready

    def careless(self: Broker, message: Any) -> None:
        self.send_behind(message)
        back(self, message)

    patch.setattr(Broker, "make_ready", careless)


def an_ack_is_not_written_down(patch: Patch) -> None:
    patch.setattr(JournalRecorder, "ack", lambda _self, _ids, _until: None)


def a_purge_is_not_written_down(patch: Patch) -> None:
    patch.setattr(JournalRecorder, "purge", lambda _self, _name, _states: None)


def a_restart_forgets_failures(patch: Patch) -> None:
    came_back = Restorer.came_back

    def careless(self: Restorer, message_id: int, **what: Any) -> None:
        came_back(self, message_id, **{**what, "failures": None})

    patch.setattr(Restorer, "came_back", careless)


def a_restart_forgets_dedup_keys(patch: Patch) -> None:
    patch.setattr(Restorer, "dedup", lambda *_args: None)


def settings_are_lost_with_their_segment(patch: Patch) -> None:
    patch.setattr(checkpoint, "record_queue", lambda _broker, _queue: None)


def one_segment_too_many_is_dropped(patch: Patch) -> None:
    drop = FileJournal.drop_before

    def careless(self: FileJournal, segment: int) -> None:
        drop(self, min(segment + 1, self.segment))

    patch.setattr(FileJournal, "drop_before", careless)


def a_waiting_get_is_forgotten(patch: Patch) -> None:
    patch.setattr(Broker, "awaken", lambda _self, _name: None)


def delays_end_early(patch: Patch) -> None:
    make_delayed = Broker.make_delayed

    def careless(self: Broker, message: Any, due: float) -> None:
        make_delayed(self, message, due - 0.15)

    patch.setattr(Broker, "make_delayed", careless)


def a_session_gets_no_grace(patch: Patch) -> None:
    leave = get.leave

    def careless(broker: Broker, now: float, client: Any) -> None:
        leave(broker, now - 3600, client)

    patch.setattr(get, "leave", careless)


def the_end_of_the_order_comes_first(patch: Patch) -> None:
    take = Ready.take

    def careless(self: Ready, count: int, size: int) -> Any:
        return take(self, count, size)[::-1]

    patch.setattr(Ready, "take", careless)


def an_older_segment_ends_in_blank_lines(patch: Patch) -> None:
    cut = End._cut_blanks

    def careless(self: End) -> bool:
        cut(self)
        return False  # so that nobody makes it durable

    patch.setattr(End, "_cut_blanks", careless)


def the_interval_goes_on_after_the_end(patch: Patch) -> None:
    drain = Committer.drain

    async def careless(self: Committer) -> None:
        await drain(self)
        self._has_ended = False

    patch.setattr(Committer, "drain", careless)


LOST = "is lost|nobody put|two messages|was stored twice"

BUGS = (
    Bug(replies_do_not_wait_for_the_commit, LOST, 32),
    Bug(batches_are_not_synced, LOST, 4),
    Bug(names_of_files_are_not_synced, LOST + "|nobody damaged", 9),
    Bug(a_failed_sync_is_taken_for_done, LOST + "|nobody damaged", 44),
    Bug(a_batch_without_room_is_thrown_away, LOST, 66),
    Bug(numbers_are_not_reserved, "given out twice|two messages", 12),
    Bug(any_receipt_of_a_leased_message_will_do, "was settled after", 2),
    Bug(leases_end_early, "has two leases", 2),
    Bug(a_returned_message_goes_behind_the_others, "was given back", 2),
    Bug(an_ack_is_not_written_down, "again after its ACK"),
    Bug(a_purge_is_not_written_down, "after it was purged", 2),
    Bug(a_restart_forgets_failures, "a counter .* went down", 2),
    Bug(a_restart_forgets_dedup_keys, "was stored twice", 20),
    Bug(settings_are_lost_with_their_segment, "lost its settings|from a paused queue", 2),
    Bug(one_segment_too_many_is_dropped, LOST + "|nobody damaged", 2),
    Bug(a_waiting_get_is_forgotten, "a GET waits", 2),
    Bug(delays_end_early, "early", 2),
    Bug(a_session_gets_no_grace, "has two leases", 16),
    Bug(an_older_segment_ends_in_blank_lines, "nobody damaged", 21),
    Bug(the_end_of_the_order_comes_first, "was delivered before"),
    Bug(the_interval_goes_on_after_the_end, "had stopped has failed", 12),
)

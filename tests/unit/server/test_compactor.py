"""When the compactor moves on a full disk, and when it had better not."""

import pytest

from qserver.broker import settle
from qserver.broker.put import put
from qserver.storage.memory import MemoryJournal
from tests.recovery.churn import Churn


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has no room but what is reserved."""
    monkeypatch.setattr(MemoryJournal, "room", property(lambda _: 0))


def churned(immortal: int, *, segment_bytes_max: int = 20_000) -> Churn:
    """Some messages that stay, under many that went, with nothing moved so far."""
    churn = Churn(segment_bytes_max=segment_bytes_max)
    for _ in range(immortal):
        put(churn.broker, churn.now, "keep", b'"immortal"')
    for _ in range(100):
        for _ in range(20):
            put(churn.broker, churn.now, "q", b"1")
        settle.ack(churn.broker, churn.now, churn.get("q", 20))
        churn._commit()
    return churn


def test_little_is_moved_on_a_full_disk_if_that_frees_a_segment(full: None) -> None:
    churn = churned(2)
    before = churn.journal.size
    assert churn.compactor.move_some()
    churn._commit()
    assert churn.journal.size < before - churn.segment_bytes_max / 2


def test_what_is_reserved_on_a_full_disk_is_not_used_up_by_moving(full: None) -> None:
    churn = churned(30)
    assert not churn.compactor.move_some()
    assert not churn.journal.pending


def test_the_same_is_moved_where_there_is_room() -> None:
    churn = churned(30)
    assert churn.compactor.move_some()
    assert churn.journal.pending

from qserver.storage.memory import MemoryJournal


def test_a_journal_without_a_store_keeps_nothing_however_much_is_committed() -> None:
    journal = MemoryJournal(segment_bytes_max=1000)
    assert list(journal.replay()) == []
    for _ in range(100):
        journal.append(b"x" * 99 + b"\n")
        assert journal.pending
        journal.commit(sync=True)
    assert not journal.pending
    assert journal.position == 101
    assert journal.segment > 1
    assert journal.stats()["journal_bytes"] == 0

"""What every driver of the `Journal` port must do when its storage is full."""

from pathlib import Path
from typing import Any

import pytest

from qserver.errors import StorageFull
from tests.storage_contract.drivers import DRIVERS_THAT_FILL_UP, started


@pytest.mark.parametrize("driver", DRIVERS_THAT_FILL_UP, ids=lambda driver: driver.__name__)
def test_a_batch_without_room_is_kept_and_goes_before_what_came_later(
    driver: Any, tmp_path: Path
) -> None:
    opener, make_room = driver(tmp_path)
    journal, _ = started(opener)
    stored = [b'{"n":%d,"fill":"%b"}\n' % (number, b"x" * 100) for number in range(20)]
    for record in stored:
        journal.append(record)
        assert journal.commit(sync=True) is None
    assert journal.segment > 1
    expected: dict[int, bytes] = {}
    make_room(0)
    for number in range(3):
        record = b'{"kept":%d,"fill":"%b"}\n' % (number, b"x" * 400)
        expected[journal.segment] = expected.get(journal.segment, b"") + record
        journal.append(record)
        position, segment = journal.position, journal.segment
        with pytest.raises(StorageFull):
            journal.commit(sync=False)
        assert (journal.pending, journal.room) == (True, 0)
        if not number:
            assert journal.position == position + 1
        else:
            assert (journal.position, journal.segment) == (position, segment)
    make_room(None)
    assert journal.commit(sync=False) is None
    assert journal.pending
    assert journal.commit(sync=True) is None
    assert not journal.pending
    assert journal.look_for_room() is None
    assert journal.room > 1 << 20
    journal.close()
    replayed: dict[int, bytes] = {}
    for segment, records in opener().replay():
        replayed[segment] = replayed.get(segment, b"") + records
    assert b"".join(replayed.values()) == b"".join([*stored, *expected.values()])
    assert {segment: replayed[segment][-len(told) :] for segment, told in expected.items()} == (
        expected
    )

"""An export of a journal; and what a start makes of one that a repair left gaps in."""

import json

import pytest

from qserver.broker.message import LEASED
from qserver.errors import Damaged
from qserver.server import offline
from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    disk_with,
    started,
    store,
)
from tests.recovery.puts import (
    SEGMENT_BYTES_MAX,
    flipped,
    journal_of_puts,
    put,
)
from tests.sim_disk import SimDisk


def test_an_export_gives_the_messages_as_they_stand() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    store(
        journal,
        put(1),
        put(2),
        b'{"op":"put_with","id":3,"queue":"r","at_ms":1000,"key":"k","due_ms":9000,"expires_ms":99000,"body":1.50}\n',
        put(4),
        b'{"op":"lease","ids":[1,2],"lease":7,"until_ms":5000}\n',
        b'{"op":"ack","ids":[1]}\n',
        b'{"op":"lease","ids":[4],"lease":9,"until_ms":5000}\n',
        b'{"op":"progress","id":4,"progress":{"at": 1E0}}\n',
        b'{"op":"nack","id":4,"failures":1,"dead":true,"reason":"no"}\n',
    )
    store(journal, put(5), b'{"op":"done","id":5,"keep_until_ms":99999999999999,"result":1E1}\n')
    journal.close()
    before = disk.files()
    exported = [line for _, line in offline.export(DIRECTORY, disk=disk)]
    assert disk.files() == before
    states = [json.loads(line)["state"] for line in exported]
    assert states == ["leased", "delayed", "dead", "done"]
    assert b'"receipt":"2.8"' in exported[0]
    assert exported[1].endswith(b'"body":1.50}')
    assert b'"key":"k"' in exported[1]
    assert b'"due":"1970-01-01T00:00:09.000Z"' in exported[1]
    assert b'"expires":"1970-01-01T00:01:3' in exported[1]
    assert b'"reason":"no","progress":{"at": 1E0}' in exported[2]
    assert b'"result":1E1' in exported[3]
    assert [message.id for message, _ in offline.export(DIRECTORY, "r", disk)] == [3]


def test_an_export_of_a_damaged_journal_is_refused() -> None:
    files, _ = journal_of_puts(*[1] * 12, segment_bytes_max=SEGMENT_BYTES_MAX)
    for damaged in ({FIRST: flipped(files[FIRST], 80, 0)}, dict(list(files.items())[1:])):
        with pytest.raises(Damaged, match="qserver check"):
            list(offline.export(DIRECTORY, disk=disk_with(damaged)))


@pytest.mark.parametrize(
    "op", ["due", "dead", "redrive", "came_back", "touch", "ack", "gone", "progress", "done"]
)
def test_a_record_may_speak_of_a_message_whose_earlier_records_are_lost(op: str) -> None:
    """A server that starts on it works on the message as if nothing had been."""
    fact = {
        "due": b'{"op":"due","ids":[1]}\n',
        "dead": b'{"op":"dead","id":1,"reason":"expired"}\n',
        "redrive": b'{"op":"redrive","ids":[1],"queue":"other"}\n',
        "came_back": b'{"op":"lost","id":1,"losses":1}\n',
        "touch": b'{"op":"touch","ids":[1],"until_ms":99999999999999}\n',
        "ack": b'{"op":"ack","ids":[1],"keep_until_ms":99999999999999}\n',
        "progress": b'{"op":"progress","id":1,"progress":1}\n',
        "done": b'{"op":"done","id":1,"keep_until_ms":99999999999999,"result":1}\n',
        "gone": b'{"op":"gone","ids":[1]}\n',
    }[op]
    for lost_before in (b"", b'{"op":"lease","ids":[1],"lease":1,"until_ms":1,"session":"s"}\n'):
        disk = SimDisk()
        journal, _ = started(disk)
        store(journal, b'{"op":"session","session":"s","grace_ms":1}\n', put(1))
        store(journal, *([lost_before] if lost_before else []), fact)
        journal.close()
        broker = offline._rebuilt(disk, offline.check(DIRECTORY, disk).found)
        for message in broker.messages.values():
            is_leased = message.state == LEASED
            assert (bool(message.lease), message.session is not None) == (is_leased, is_leased)
        assert sum(len(queue) for queue in broker.queues.values()) == len(broker.messages)
        assert (op == "gone") == (not broker.messages)

"""What can be done with a journal while no server works on it: check, repair, export.

A check and an export read only, and change nothing. A repair takes the directory's lock. After it,
numbers go on a million behind the highest that can be seen anywhere, so that no id and no receipt
is given out again whose record may have been lost.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from qserver.broker.broker import Broker
from qserver.broker.message import DELAYED, DONE, LEASED, STATES, Message
from qserver.broker.restore import Restorer
from qserver.config import RESERVED_NUMBERS, Limits
from qserver.errors import Damaged, Locked, StorageFailed
from qserver.ports import Progress
from qserver.storage.disk import Disk, RealDisk
from qserver.storage.file import LOCK_NAME, lock
from qserver.storage.loss import Loss
from qserver.storage.memory import MemoryJournal
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder
from qserver.storage.repair import repair as repair_files
from qserver.storage.survey import Survey, records_of, survey


@dataclass
class Report:
    """How a journal was found, and what was done.

    Attributes:
        is_in_use: whether a server worked on it meanwhile.
        kept_as: where damaged bytes were copied to; None if nothing was repaired.
    """

    directory: Path
    found: Survey
    loss: Loss
    is_in_use: bool = False
    kept_as: list[Path] | None = None


class _Kept:
    """What a survey keeps, to be replayed."""

    def __init__(self, disk: Disk, found: Survey) -> None:
        self._disk = disk
        self._found = found

    def replay(self, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
        """See `Journal`."""
        del progress
        yield from records_of(self._disk, self._found)


def check(directory: Path, disk: Disk | None = None) -> Report:
    """Look at a journal.

    Raises:
        StorageError: it can't be read, or a later version wrote it.
    """
    disk = disk or RealDisk()
    is_in_use = _is_in_use(disk, directory)
    found = survey(disk, directory)
    return Report(directory, found, _loss(disk, found), is_in_use)


def repair(directory: Path, disk: Disk | None = None) -> Report:
    """Make a damaged journal one that a server starts with; a whole one is left as it is.

    Raises:
        StorageError: it is in use, can't be read or written, or a later version wrote it.
    """
    disk = disk or RealDisk()
    held = lock(disk, directory)
    try:
        found = survey(disk, directory)
        report = Report(directory, found, _loss(disk, found))
        if not found.is_whole:
            record = _sequence_behind(_rebuilt(disk, found), report.loss)
            report.kept_as = repair_files(disk, directory, found, record)
        return report
    finally:
        disk.close(held)


def _sequence_behind(broker: Broker, loss: Loss) -> bytes:
    """A record that no number may be given out that can have been given out before."""
    last_id = max([broker.last_id, *loss.messages, *loss.facts])
    lines: list[bytes] = []
    recorder = JournalRecorder(MemoryJournal())
    recorder.append = lines.append
    recorder.sequence(last_id + RESERVED_NUMBERS, broker.last_lease + RESERVED_NUMBERS)
    return b"".join(lines)


def export(
    directory: Path, queue: str | None = None, disk: Disk | None = None
) -> Iterator[tuple[Message, bytes]]:
    """The messages of a journal in order of id, each with its line of JSON.

    Raises:
        StorageError: it is damaged, can't be read, or a later version wrote it.
    """
    disk = disk or RealDisk()
    found = survey(disk, directory)
    if not found.is_whole:
        first = found.damages[0] if found.damages else None
        raise Damaged(
            "the journal is damaged; see qserver check",
            file=first.file if first else str(directory),
            offset=first.offset if first else 0,
        )
    broker = _rebuilt(disk, found)
    for message_id in sorted(broker.messages):
        message = broker.messages[message_id]
        if queue is None or message.queue.name == queue:
            yield message, _line(broker, message)


def is_done(message: Message) -> bool:
    """Whether a message is only retained."""
    return message.state == DONE


def _is_in_use(disk: Disk, directory: Path) -> bool:
    """Whether a server works there. Nothing is created: a directory without a lock has none."""
    try:
        if LOCK_NAME not in disk.names(directory):
            return False
        disk.close(lock(disk, directory))
    except Locked:
        return True
    except StorageFailed:
        return False  # a directory that may only be read: whoever works there could write
    except OSError as error:
        raise StorageFailed(f"{directory}: can't read the directory: {error}") from error
    return False


def _loss(disk: Disk, found: Survey) -> Loss:
    loss = Loss()
    for damage in found.damages:
        content = disk.read(Path(damage.file))
        loss.read(content[damage.offset : damage.offset + damage.bytes])
    return loss


def _rebuilt(disk: Disk, found: Survey) -> Broker:
    """What a server would hold that was started on what is kept."""
    now = time.monotonic()
    broker = Broker(JournalRecorder(MemoryJournal()), Limits(), now=now, wall=time.time())
    restorer = Restorer(broker)
    replay(_Kept(disk, found), restorer)
    restorer.finish(now)
    return broker


def _moment(seconds: float) -> str:
    """RFC 3339 in UTC, as PUT at= reads it."""
    at = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return at.isoformat(timespec="milliseconds") + "Z"


def _line(broker: Broker, message: Message) -> bytes:
    """A message as one line of JSON; its body as the client wrote it."""
    fields: dict[str, Any] = {
        "id": message.id,
        "queue": message.queue.name,
        "state": STATES[message.state],
        "at": _moment(message.put_at),
        "priority": message.priority,
        "deliveries": message.deliveries,
        "failures": message.failures,
        "losses": message.losses,
    }
    if message.state == LEASED:
        fields["receipt"] = f"{message.id}.{message.lease}"
        fields["until"] = _moment(broker.wall(message.deadline))
    details = message.details
    if details is not None:
        fields |= {"key": details.key, "trace": details.trace, "dedup": details.dedup}
        fields["reason"] = details.reason
        fields["progress"] = msgspec.Raw(details.progress) if details.progress else None
        fields["result"] = msgspec.Raw(details.result) if details.result else None
        fields["due"] = _moment(details.due_at) if message.state == DELAYED else None
        expires = details.expires_at
        fields["expires"] = _moment(broker.wall(expires)) if expires else None
    shown = {name: value for name, value in fields.items() if value not in (None, "")}
    return b'%b,"body":%b}' % (msgspec.json.encode(shown)[:-1], message.body)

"""Making a damaged journal one that a server starts with, of nothing but what is intact.

What `survey.py` keeps is copied as it is, seals included; nothing is vouched for anew. Where the
chain has a gap a segment ends and the next one begins, whose header names both ends of the gap
(`follows`, see `seal.py`). So a segment without damage or gap before it is not even touched.

    1. every damaged range is copied to `damaged-<segment>-<offset>.bin`, durably
    2. a segment is added at the end, with a record of the caller's choice
    3. the new segments are written to `repair-<segment>.tmp`, durably
    4. each is renamed to its place, the newest first, the directory synced after each

A crash leaves each segment either old or new, and what is intact at least once: what is cut off a
segment's end has its own place before the segment is replaced. The repair is then run again.

A segment of which nothing is left stays as an empty one, since its absence would be damage.
"""

from dataclasses import dataclass, field
from pathlib import Path

from qserver.errors import StorageFailed
from qserver.storage import seal
from qserver.storage.aside import set_aside
from qserver.storage.disk import Disk, write_all
from qserver.storage.recovery import segment_path
from qserver.storage.survey import Segment, Stretch, Survey


@dataclass
class Piece:
    """A segment to be: its header, the stretches of an old one that it is made of, and more."""

    number: int
    header: bytes
    source: Path | None = None
    stretches: list[Stretch] = field(default_factory=list)
    more: bytes = b""


def repair(disk: Disk, directory: Path, found: Survey, last_record: bytes) -> list[Path]:
    """Repair what a survey has found; answers where the damaged bytes were copied to.

    The directory must be locked by the caller.

    Raises:
        StorageFailed: it could not be done; it can be tried again.
    """
    try:
        kept_as = [
            _set_aside(disk, directory, f"damaged-{damage.segment:012d}", damage.file, *place)
            for damage in found.damages
            if damage.bytes
            for place in [(damage.offset, damage.bytes)]
        ]
        if found.torn:
            number, *place_torn = found.torn
            file = str(segment_path(directory, number))
            kept_as.append(_set_aside(disk, directory, f"torn-{number:012d}", file, *place_torn))
        plan = _plan(found, last_record)
        _replace(disk, directory, [piece for piece in plan if not _is_there(disk, found, piece)])
    except OSError as error:
        raise StorageFailed(f"{directory}: can't repair the journal: {error}") from error
    return kept_as


def _set_aside(disk: Disk, directory: Path, name: str, file: str, offset: int, size: int) -> Path:
    part = disk.read(Path(file))[offset : offset + size]
    return set_aside(disk, directory, f"{name}-{offset}", part)


def _plan(found: Survey, last_record: bytes) -> list[Piece]:
    """The segments that the journal is to have, oldest first."""
    plan: list[Piece] = []
    crc: int | None = None
    last: Stretch | None = None
    if found.lost_before:
        plan.append(Piece(found.lost_before, seal.header(found.lost_before, 0)))
        crc = 0
    for segment in found.segments:
        source = Path(segment.file)
        runs = _runs(segment.stretches)
        if not runs:
            if crc is None:
                crc = segment.header.prev if segment.header else 0
            plan.append(Piece(segment.number, seal.header(segment.number, crc), source))
        for place, run in enumerate(runs):
            number = run[0].first if place else segment.number
            plan.append(Piece(number, _header(segment, number, run[0], crc), source, run))
            last = run[-1]
            crc = last.crc
    assert crc is not None, "no segment, and yet something to repair"
    oldest = last.oldest if last else plan[0].number
    after = max(plan[-1].number, last.last if last else 0)
    plan.append(_end(after + 1, crc, oldest, last_record))
    return plan


def _end(number: int, crc: int, oldest: int, record: bytes) -> Piece:
    """A segment of one batch of one record."""
    header = seal.header(number, crc)
    sealed, _ = seal.seal(crc, number, [record], 1, synced=len(header), oldest=oldest)
    return Piece(number, header, more=record + sealed)


def _runs(stretches: list[Stretch]) -> list[list[Stretch]]:
    """Stretches that chain on each other, though something stands between them, belong together."""
    runs: list[list[Stretch]] = []
    for stretch in stretches:
        if runs and runs[-1][-1].crc == stretch.prev:
            runs[-1].append(stretch)
        else:
            runs.append([stretch])
    return runs


def _header(segment: Segment, number: int, first: Stretch, crc: int | None) -> bytes:
    old = segment.header
    if crc is None and old is not None and old.prev == first.prev and number == segment.number:
        crc = old.follows  # the oldest segment: what it follows is gone, and need not be known
    bridges = crc is not None and crc != first.prev
    return seal.header(number, first.prev, crc if bridges else None)


def _is_there(disk: Disk, found: Survey, piece: Piece) -> bool:
    """Whether the segment is what it is to be."""
    return any(
        segment.number == piece.number and disk.read(Path(segment.file)) == _content(disk, piece)
        for segment in found.segments
    )


def _content(disk: Disk, piece: Piece) -> bytes:
    old = disk.read(piece.source) if piece.source is not None else b""
    parts = [old[stretch.start : stretch.end] for stretch in piece.stretches]
    return b"".join([piece.header, *parts, piece.more])


def _replace(disk: Disk, directory: Path, pieces: list[Piece]) -> None:
    made = [(_write(disk, directory, piece), piece) for piece in pieces]
    disk.sync_directory(directory)
    for path, piece in reversed(made):
        disk.rename(path, segment_path(directory, piece.number))
        disk.sync_directory(directory)


def _write(disk: Disk, directory: Path, piece: Piece) -> Path:
    path = directory / f"repair-{piece.number:012d}.tmp"
    if path.name in disk.names(directory):  # of a repair that was cut short
        disk.unlink(path)
    file = disk.create(path)
    try:
        write_all(disk, file, _content(disk, piece), 0)
        disk.sync(file)
    finally:
        disk.close(file)
    return path

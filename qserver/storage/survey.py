"""What of a journal is intact, what is not, and where: read without changing anything.

A start reads along the chain and refuses at the first thing that is wrong (`recovery.py`). This
looks at every batch by itself, so it also finds those behind the damage:

    stretch     intact batches, each of which chains on the one before
    damage      bytes that belong to no stretch that is kept
    missing     numbers of batches between two stretches, of which nothing stands anywhere
    torn end    what the next start cuts off, as after a power cut: no damage. Of many batches that
                were not synced any may be torn, so intact ones may be part of it
    blank end   lines that are still to be written over, behind the newest segment: nothing at all

Numbers only grow, and a segment holds those from its own on to that of the next. An intact batch
elsewhere is a copy of one that is kept, or not in its place, which is damage: nothing is moved.
Two stretches can be intact and contradict each other: consecutive numbers, but the second does not
chain on the first. Then one is of another journal, or of another time; the longer one is kept.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from qserver.errors import NewerFormat, StorageFailed
from qserver.storage import recovery, seal
from qserver.storage.disk import Disk
from qserver.storage.room import RESERVE_NAME

_OURS: Final = re.compile(rf"{RESERVE_NAME}|lock|(torn|damaged)-.*\.bin|repair-.*\.tmp")


@dataclass
class Stretch:
    """Intact batches in a row, from `start` to `end` of a segment.

    Attributes:
        first: number of the first batch.
        prev: what its checksum starts from.
        crc: the checksum of the last batch.
        oldest: the oldest segment that was needed then.
    """

    segment: int
    start: int
    end: int
    first: int
    last: int
    prev: int
    crc: int
    oldest: int
    batches: int = 1
    records: int = 0


def records_of(disk: Disk, found: "Survey") -> Iterator[tuple[int, bytes]]:
    """The records that are kept, as a replay of a repaired journal gives them."""
    for segment in found.segments:
        content = disk.read(Path(segment.file))
        for stretch in segment.stretches:
            for batch in seal.intact_batches(content[stretch.start : stretch.end]):
                at = stretch.start
                yield segment.number, content[at + batch.start : at + batch.seal_at]


@dataclass(frozen=True)
class Damage:
    """Bytes that were not written so: where, and how many seals can be made out among them."""

    segment: int
    file: str
    offset: int
    bytes: int
    line: int
    batches: int
    text: str


@dataclass
class Segment:
    """One file.

    Attributes:
        end: where a torn end or blank lines begin, which are not looked at; else its length.
        header: None if its first line is not its header.
        elsewhere: intact batches that don't belong here.
        copies: start and end of those of them that are kept in their place.
    """

    number: int
    file: str
    bytes: int
    end: int
    header: seal.Header | None
    stretches: list[Stretch] = field(default_factory=list)
    elsewhere: list[seal.Batch] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)

    @property
    def batches(self) -> int:
        """How many are kept."""
        return sum(stretch.batches for stretch in self.stretches)

    @property
    def records(self) -> int:
        """How many are kept."""
        return sum(stretch.records for stretch in self.stretches)


@dataclass
class Survey:
    """A journal as it stands.

    Attributes:
        missing: first and last number of batches that are not kept, where there are later ones.
        unlinked: segments whose header does not chain on what is kept before it.
        lost_before: the oldest segment that is needed and missing, with all up to the first; or 0.
        torn: segment and offset of a torn end, and how many bytes it has.
        strays: names of files that are no part of the journal.
    """

    segments: list[Segment] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    missing: list[tuple[int, int]] = field(default_factory=list)
    unlinked: list[int] = field(default_factory=list)
    lost_before: int = 0
    torn: tuple[int, int, int] | None = None
    strays: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether a server would start."""
        return not (
            self.damages
            or self.missing
            or self.unlinked
            or self.lost_before
            or any(segment.copies for segment in self.segments)
        )


def survey(disk: Disk, directory: Path) -> Survey:
    """Look at all of a journal.

    Raises:
        NewerFormat: a later version wrote it.
        StorageFailed: a file can't be read.
    """
    try:
        return _survey(disk, directory)
    except OSError as error:
        raise StorageFailed(f"{directory}: can't read the journal: {error}") from error


def _survey(disk: Disk, directory: Path) -> Survey:
    found = Survey()
    numbers = recovery.segments_in(disk, directory)
    names = {recovery.segment_path(directory, number).name for number in numbers}
    found.strays = sorted(
        name for name in disk.names(directory) if name not in names and not _OURS.fullmatch(name)
    )
    for number, following in pairwise([*numbers, 1 << 62]):
        content = disk.read(recovery.segment_path(directory, number))
        is_newest = number == numbers[-1]
        end = _end_of_newest(found, number, content) if is_newest else len(content)
        found.segments.append(_look_at(directory, number, following, content, end))
    while (other := _contradiction(found.segments)) is not None:
        segment, stretch = other
        segment.stretches.remove(stretch)
    for segment in found.segments:
        if segment.elsewhere:
            _find_copies(disk, segment, found.segments)
        _find_damage(found, segment, disk.read(Path(segment.file)))
    _find_gaps(found)
    return found


def _end_of_newest(found: Survey, number: int, content: bytes) -> int:
    """Where a torn end or blank lines begin; notes a torn end."""
    written = len(seal.without_blanks(content))
    end = min(recovery.kept_of_newest(content, number), written)
    if end < written:
        found.torn = number, end, written - end
    return end


def _look_at(directory: Path, number: int, following: int, content: bytes, end: int) -> Segment:
    path = recovery.segment_path(directory, number)
    if seal.header_format(content) > seal.FORMAT:
        raise NewerFormat(
            f"{path} has format {seal.header_format(content)}; this version reads up to"
            f" {seal.FORMAT}. Nothing was changed"
        )
    header = seal.read_header(content, number)
    segment = Segment(number, str(path), len(content), end, header)
    last = 0
    for batch in seal.intact_batches(content[:end]):
        if not max(number, last + 1) <= batch.position < following:
            segment.elsewhere.append(batch)
            continue
        last = batch.position
        stretch = segment.stretches[-1] if segment.stretches else None
        if stretch and (stretch.end, stretch.crc) == (batch.start, batch.prev):
            stretch.end, stretch.last, stretch.crc = batch.end, batch.position, batch.crc
            stretch.oldest = batch.oldest
            stretch.batches += 1
            stretch.records += batch.records
        else:
            segment.stretches.append(
                Stretch(
                    number,
                    batch.start,
                    batch.end,
                    batch.position,
                    batch.position,
                    batch.prev,
                    batch.crc,
                    batch.oldest,
                    records=batch.records,
                )
            )
    return segment


def _contradiction(segments: list[Segment]) -> tuple[Segment, Stretch] | None:
    """A stretch that can't stand beside another, which is longer."""
    before: tuple[Segment, Stretch] | None = None
    for segment in segments:
        for stretch in segment.stretches:
            if (
                before is not None
                and stretch.first == before[1].last + 1
                and stretch.prev != before[1].crc
            ):
                shorter = stretch.batches <= before[1].batches
                return (segment, stretch) if shorter else before
            before = segment, stretch
    return None


def _find_copies(disk: Disk, segment: Segment, segments: list[Segment]) -> None:
    for home in segments:
        wanted = {
            (batch.position, batch.crc): batch
            for batch in segment.elsewhere
            if any(kept.first <= batch.position <= kept.last for kept in home.stretches)
        }
        if not wanted:
            continue
        for batch in seal.intact_batches(disk.read(Path(home.file))):
            copy = wanted.get((batch.position, batch.crc))
            if copy is not None and any(
                kept.start <= batch.start < kept.end for kept in home.stretches
            ):
                segment.copies.append((copy.start, copy.end))


def _find_damage(found: Survey, segment: Segment, content: bytes) -> None:
    """Everything up to the segment's end but the header, the stretches and copies is damage.

    That the header is not there is damage too, though no byte in its place may be left to tell it.
    """
    is_newest = segment is found.segments[-1]
    may_lack_it = is_newest and recovery.is_begun_only(content, segment.number)
    is_headless = segment.header is None and not may_lack_it
    at = segment.header.length if segment.header else 0
    known = [(stretch.start, stretch.end) for stretch in segment.stretches]
    for start, end in [*sorted(known + segment.copies), (segment.end, segment.end)]:
        if at < start or (is_headless and not at):
            found.damages.append(_damage(segment, content, at, start))
        at = end


def _damage(segment: Segment, content: bytes, start: int, end: int) -> Damage:
    part = content[start:end]
    intact = [batch.position for batch in seal.intact_batches(part)]
    if intact:
        text = f"an intact batch, number {intact[0]}, is not in its place"
    elif not start:
        text = "the first line is not the segment's header"
    else:
        text = "not what was written there"
    return Damage(
        segment.number,
        segment.file,
        start,
        end - start,
        content.count(b"\n", 0, start) + 1,
        seal.seals_after(part, 0) + part.startswith(b'{"seal":'),
        text,
    )


def _find_gaps(found: Survey) -> None:
    """Walk along what is kept, as a start does, and note where the chain is broken."""
    if not found.segments:
        return
    first = found.segments[0].number
    last, oldest = first - 1, 1
    kept: int | None = None  # checksum of the last batch that is kept
    crc: int | None = None  # where the chain stands for a reader
    for segment in found.segments:
        header = segment.header
        bridged = header is not None and (segment.number == first or header.follows == crc)
        if header is not None:
            if not bridged:
                found.unlinked.append(segment.number)
            crc = header.prev
        for stretch in segment.stretches:
            linked = stretch.prev == kept or (bridged and stretch.prev == crc)
            if not linked and stretch.first > last + 1:
                found.missing.append((last + 1, stretch.first - 1))
            elif not linked and segment.number not in found.unlinked:
                found.unlinked.append(segment.number)
            kept = crc = stretch.crc
            last, oldest, bridged = stretch.last, stretch.oldest, True
    if first > oldest:
        found.lost_before = oldest

"""Reading a directory of segments back, after any kind of stop.

    journal-000000000001.jsonl        a segment, named by the position of its first batch
    torn-000000000001-4711.bin        what was cut from that segment at that offset
    lock                              held while a process works here; holds its pid
    (anything else)                   not ours: neither read nor touched

Every batch is verified: its checksum, its place in the chain, its count. What does not verify is
either a tear or damage, and the two are treated as differently as can be.

A *tear* is the normal trace of a power cut: the end of the newest segment, written but never
synced, is there in part, or as zeros, or as anything. Nobody was told that it is stored. It is set
aside, cut off, reported, and the server starts.

*Damage* is anything else: bytes that were safe once and have changed. Going on would lose or
falsify what somebody was promised, so the start is refused and no file is changed.

What does not verify is damage if

 1. it is in an older segment. Each was synced whole before the next was created; or
 2. a seal says that it was synced: every seal names the offset up to which its segment was, before
    its batch was written; or
 3. what is left of the file has no zeroed or blank part and ends with a seal. A tear leaves a
    truncated end, or zeros, or garbage, and no intact seal behind it. This is what shows a flipped
    bit in the very last batch, which no later seal vouches for.

What this can't tell apart, and how it errs. A tear that left garbage without zeros in the middle of
a batch, but its end intact, is taken for damage: the start is refused for a batch that may never
have been confirmed. Damage to the last batch that ruins its seal beyond a byte or two, or zeroes
or blanks part of it, is taken for a tear: it is set aside and reported. With a sync policy other
than `always`, that holds for everything after the last sync. A last batch that is missing to the
byte, or blank, or a newest segment that is missing whole, leaves no trace at all.

The newest segment may end in blank lines, which batches are written over (`segment.py`). Nothing
but blank lines is no tear: they are cut off, and nobody is told. Of a batch that was written over
them, what a power cut has kept from the device is blank still, page by page, in any order. So a
batch with a blank line in it is torn, as one with zeros is. What says that a page was synced is
`synced`, as ever.

A newest segment that is no longer than its header and is not its header is a tear too: the power
went while it was created, and nothing was ever written to it.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qserver.errors import Damaged, NewerFormat, StorageFailed
from qserver.ports import Progress
from qserver.storage import seal
from qserver.storage.aside import set_aside
from qserver.storage.disk import NO_ROOM, Disk

_SEGMENT_NAME: Final = re.compile(r"journal-([0-9]{12}|[1-9][0-9]{12,17})\.jsonl")


@dataclass(frozen=True)
class Torn:
    """What was cut from the end of the newest segment.

    Attributes:
        file: path of the segment.
        offset: where it was cut.
        bytes: how much was cut.
        kept_as: path of the copy that was set aside; empty if there was no room for one.
    """

    file: str
    offset: int
    bytes: int
    kept_as: str


@dataclass
class Found:
    """A journal as it was found, and repaired.

    Attributes:
        chain: stands after the last batch.
        sizes: length of each segment in bytes, oldest first; the last one can be written on.
        torn: what was cut, if anything.
    """

    chain: seal.Chain = field(default_factory=seal.Chain)
    sizes: dict[int, int] = field(default_factory=dict)
    torn: Torn | None = None


def segment_path(directory: Path, segment: int) -> Path:
    """Where a segment is stored."""
    return directory / f"journal-{segment:012d}.jsonl"


def segments_in(disk: Disk, directory: Path) -> list[int]:
    """The segments in a directory, oldest first."""
    found = map(_SEGMENT_NAME.fullmatch, disk.names(directory))
    return sorted(int(name[1]) for name in found if name)


def is_torn(content: bytes, at: int) -> bool:
    """Whether what stands in the newest segment from an offset on is a tear, and no damage."""
    return seal.synced_claimed(content, at) <= at and not (at and seal.ends_sealed(content[at:]))


def is_begun_only(content: bytes, segment: int) -> bool:
    """Whether the newest segment, which has no header, may be one whose creation was torn."""
    return len(content) <= len(seal.header(segment, 0))


def kept_of_newest(content: bytes, segment: int) -> int:
    """How much of the newest segment a start keeps: all but a torn end, and blank lines.

    All of it where the start refuses, since then it cuts nothing. For whoever does not start, but
    must know what a start would do.
    """
    chain = seal.Chain()
    header = seal.read_header(content, segment)
    if header is not None:
        chain.crc, chain.at = header.prev, header.length
        for _ in seal.walk(content, chain):
            pass
    elif not is_begun_only(content, segment):
        return len(content)
    return chain.at if is_torn(content, chain.at) else len(content)


def read_back(
    disk: Disk, directory: Path, progress: Progress | None = None
) -> Generator[tuple[int, bytes], None, Found]:
    """Verify a journal and yield its records as `(segment, records)`; repair a torn end; answer.

    Changes nothing before all has been yielded.

    Raises:
        Damaged: see this module's text.
        NewerFormat: a segment was written by a later version.
        StorageFailed: a file can't be read.
    """
    try:
        reading = _Reading(disk, directory, progress)
        yield from reading.run()
        return reading.repaired()
    except OSError as error:
        raise StorageFailed(f"{directory}: can't read the journal: {error}") from error


class _Reading:
    """One walk through the segments, oldest to newest."""

    def __init__(self, disk: Disk, directory: Path, progress: Progress | None) -> None:
        self.disk = disk
        self.directory = directory
        self.progress = progress
        self.found = Found()
        self.segments = segments_in(disk, directory)
        self.tail = b""
        self.bytes = 0

    def run(self) -> Generator[tuple[int, bytes], None, None]:
        """Yield what verifies; leave in `tail` what is torn off the newest segment's end.

        And in `bytes` how long its file is.
        """
        if self.segments:
            self._settle(self.segments[-1])
        paths = [segment_path(self.directory, segment) for segment in self.segments]
        bytes_in_all = sum(map(self.disk.size, paths))
        bytes_done = 0
        chain = self.found.chain
        for segment, path in zip(self.segments, paths, strict=True):
            content = self.disk.read(path)
            self._begin(segment, content)
            for records in seal.walk(content, chain) if chain.at else ():
                yield segment, records
                self._tell(bytes_done + chain.at, bytes_in_all)
            if chain.at < len(content):
                self._judge_end(segment, content)
            self.found.sizes[segment] = chain.at
            self.bytes = len(content)
            bytes_done += len(content)
            self._tell(bytes_done, bytes_in_all)
        self._check_oldest()

    def repaired(self) -> Found:
        """Cut the torn end off, keeping a copy, and blank lines, keeping none."""
        at = self.found.chain.at
        if self.segments and (not at or at < self.bytes):
            self._cut(self.segments[-1], at)
        return self.found

    def _settle(self, segment: int) -> None:
        """Sync the newest segment and its name, then read it from the device.

        The process that wrote it may have been killed between a write and its sync, or before a new
        segment's name was durable. And after a sync that failed, memory may show what the device
        never stored.
        """
        file = self.disk.open(segment_path(self.directory, segment))
        try:
            self.disk.sync(file)
            self.disk.sync_directory(self.directory)
            self.disk.forget_cached(file)
        finally:
            self.disk.close(file)

    def _begin(self, segment: int, content: bytes) -> None:
        """Check the header, and put the chain behind it; to 0 if the segment was never begun."""
        path = segment_path(self.directory, segment)
        chain = self.found.chain
        if seal.header_format(content) > seal.FORMAT:
            raise NewerFormat(
                f"{path} has format {seal.header_format(content)}; this version reads up to"
                f" {seal.FORMAT}. Nothing was changed"
            )
        header = seal.read_header(content, segment)
        if header is None:
            if segment == self.segments[-1] and is_begun_only(content, segment):
                chain.at = 0
                return
            raise self._damage(segment, content, 0, "the segment's first line is not its header")
        if segment != self.segments[0] and header.follows != chain.crc:
            text = "the segment does not follow the one before it: one is missing, or not in place"
            raise self._damage(segment, content, 0, text)
        chain.crc = header.prev
        chain.at = header.length

    def _judge_end(self, segment: int, content: bytes) -> None:
        """Tell a tear from damage, where the chain ended before the file did."""
        at = self.found.chain.at
        if segment != self.segments[-1] or not is_torn(content, at):
            line = content.count(b"\n", 0, at) + 1
            text = (
                f"the batch after number {self.found.chain.position}, from line {line} on, is not"
                " what was written there"
            )
            raise self._damage(segment, content, at, text)
        self.tail = seal.without_blanks(content[at:])

    def _damage(self, segment: int, content: bytes, at: int, text: str) -> Damaged:
        later = self.segments[self.segments.index(segment) + 1 :]
        paths = [segment_path(self.directory, number) for number in later]
        seals = seal.seals_after(content, at)
        seals += sum(seal.seals_after(self.disk.read(path), 0) for path in paths)
        path = segment_path(self.directory, segment)
        return Damaged(
            f"{text}; {seals} sealed batches from here on are affected. Nothing was changed",
            file=str(path),
            offset=at,
        )

    def _check_oldest(self) -> None:
        oldest = self.found.chain.oldest
        if self.segments and self.segments[0] > oldest:
            raise Damaged(
                f"the segments before it, from number {oldest} on, are missing."
                " Nothing was changed",
                file=str(segment_path(self.directory, self.segments[0])),
                offset=0,
            )

    def _tell(self, done: int, in_all: int) -> None:
        if self.progress is not None:
            self.progress(done, in_all)

    def _cut(self, segment: int, at: int) -> None:
        """Set the tail aside, then make the segment end at the offset; with none left, remove it.

        A full disk is no reason to refuse the start: then the tail, which nobody was promised, is
        given up.
        """
        path = segment_path(self.directory, segment)
        kept_as = self._set_aside(segment, at) if self.tail else ""
        if at:
            file = self.disk.open(path)
            try:
                self.disk.truncate(file, at)
                self.disk.sync(file)
            finally:
                self.disk.close(file)
        else:
            self.disk.unlink(path)
            self.disk.sync_directory(self.directory)
            del self.found.sizes[segment]
        if self.tail:
            self.found.torn = Torn(str(path), at, len(self.tail), kept_as)

    def _set_aside(self, segment: int, at: int) -> str:
        """Copy the tail to a file of its own; answers its path."""
        name = f"torn-{segment:012d}-{at}"
        try:
            return str(set_aside(self.disk, self.directory, name, self.tail))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return ""

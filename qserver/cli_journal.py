"""The command line for a journal that no server works on: `check`, `repair`, `export`.

Exit codes: 0 the journal is whole (or was made so), 1 it is damaged or can't be read, or the output
can't be written, 2 usage, 130 interrupted.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qserver.errors import StorageError

if TYPE_CHECKING:
    from qserver.server.offline import Report

IDS_SHOWN = 20
"""A text names so many ids; `--json` names all."""

_DIRECTORY = click.argument(
    "directory", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


def add_to(group: click.Group) -> None:
    """Give the main command these."""
    for command in (check, repair, export):
        group.add_command(command)


@click.command()
@_DIRECTORY
@_AS_JSON
def check(directory: Path, *, as_json: bool) -> None:
    """Look whether the journal in DIRECTORY is whole; change nothing.

    Exits with 1 if it is damaged. A torn end, as a power cut leaves it, is no damage: the next
    start cuts it off.
    """
    from qserver.server import offline  # noqa: PLC0415 - `qserver --help` need not load it

    with _errors():
        report = offline.check(directory)
        _show(report, as_json=as_json)
    sys.exit(0 if report.found.is_whole else 1)


@click.command()
@_DIRECTORY
@_AS_JSON
def repair(directory: Path, *, as_json: bool) -> None:
    """Make the damaged journal in DIRECTORY one that a server starts with.

    Every batch that is intact is kept as it is. What is damaged is copied to damaged-*.bin beside
    it and taken out, and it is said what was lost. A whole journal is left as it is. No server may
    work on it.
    """
    from qserver.server import offline  # noqa: PLC0415

    with _errors():
        _show(offline.repair(directory), as_json=as_json)


@click.command()
@_DIRECTORY
@click.option("--queue", help="Only the messages of this queue.")
@click.option("--bodies", is_flag=True, help="Only the bodies, as `qclient put` reads them.")
def export(directory: Path, queue: str | None, *, bodies: bool) -> None:
    """Write the messages in DIRECTORY to stdout, one JSON object a line; change nothing.

    Messages that are done and only retained are left out with --bodies.
    """
    from qserver.server import offline  # noqa: PLC0415

    with _errors():
        write = sys.stdout.buffer.write
        for message, line in offline.export(directory, queue):
            if not bodies:
                write(line + b"\n")
            elif not offline.is_done(message):
                write(message.body + b"\n")
        sys.stdout.buffer.flush()


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Say what is the matter with a journal, or with the output, and exit with 1."""
    try:
        yield
    except StorageError as error:
        raise click.ClickException(str(error)) from None
    except BrokenPipeError:
        raise  # who read it has enough: click knows
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left of it
        raise click.ClickException(f"can't write the output: {error.strerror}") from None
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _show(report: "Report", *, as_json: bool) -> None:
    facts = _facts(report)
    if as_json:
        click.echo(json.dumps(facts))
        return
    for line in _text(facts):
        click.echo(line)


def _facts(report: "Report") -> dict[str, Any]:
    """A report as one JSON object."""
    found, loss = report.found, report.loss
    torn = found.torn
    return {
        "directory": str(report.directory),
        "whole": found.is_whole,
        "repaired": report.kept_as is not None,
        "in_use": report.is_in_use,
        "segments": [
            {
                "segment": segment.number,
                "file": segment.file,
                "bytes": segment.bytes,
                "batches": segment.batches,
                "records": segment.records,
            }
            for segment in found.segments
        ],
        "torn": torn and {"segment": torn[0], "offset": torn[1], "bytes": torn[2]},
        "damages": [
            {
                "file": damage.file,
                "offset": damage.offset,
                "bytes": damage.bytes,
                "line": damage.line,
                "batches": damage.batches,
                "what": damage.text,
            }
            for damage in found.damages
        ],
        "unlinked_segments": found.unlinked,
        "missing_batches": [{"first": first, "last": last} for first, last in found.missing],
        "missing_segments_from": found.lost_before or None,
        "lost": {
            "records": dict(loss.records),
            "unreadable_lines": loss.unreadable,
            "messages": [{"id": key, "queue": name} for key, name in sorted(loss.messages.items())],
            "facts_of": sorted(loss.facts),
        },
        "stray_files": found.strays,
        "kept_as": [str(path) for path in report.kept_as or ()],
    }


def _text(facts: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = [
        f"{segment['file']}  {segment['bytes']:,} bytes, {segment['batches']:,} batches,"
        f" {segment['records']:,} records"
        for segment in facts["segments"]
    ] or ["no segments: the journal is empty"]
    if facts["in_use"]:
        lines.append("note: a server works here; what it writes just now can look like a torn end")
    if torn := facts["torn"]:
        lines.append(
            f"torn end: segment {torn['segment']}, byte {torn['offset']}: {torn['bytes']} bytes"
            " that nobody was promised; the next start cuts them off and keeps them aside"
        )
    lines += [
        f"DAMAGE {damage['file']}, byte {damage['offset']}, line {damage['line']}:"
        f" {damage['bytes']} bytes, {damage['batches']} batches: {damage['what']}"
        for damage in facts["damages"]
    ]
    lines += [
        f"DAMAGE segment {number}: its first line does not chain on the segment before"
        for number in facts["unlinked_segments"]
    ]
    lines += [
        f"LOST batches {gap['first']} to {gap['last']}: damaged or missing"
        for gap in facts["missing_batches"]
    ]
    if facts["missing_segments_from"]:
        lines.append(f"LOST segments from number {facts['missing_segments_from']} on: missing")
    lines += _text_of_loss(facts["lost"])
    lines += [f"stray file, left alone: {name}" for name in facts["stray_files"]]
    lines += [f"damaged bytes are kept in {path}" for path in facts["kept_as"]]
    return [*lines, _verdict(facts)]


def _text_of_loss(lost: dict[str, Any]) -> list[str]:
    lines = []
    if lost["records"] or lost["unreadable_lines"]:
        kinds = [f"{count} {op}" for op, count in sorted(lost["records"].items())]
        if lost["unreadable_lines"]:
            kinds.append(f"{lost['unreadable_lines']} unreadable")
        lines.append(f"records in damaged batches: {', '.join(kinds)}")
    if lost["messages"]:
        shown = [
            f"{message['id']} ({message['queue']})" if message["queue"] else str(message["id"])
            for message in lost["messages"]
        ]
        lines.append(f"messages that are lost: {_some(shown)}")
    if lost["facts_of"]:
        shown = [str(number) for number in lost["facts_of"]]
        lines.append(f"messages that may come back in an older state: {_some(shown)}")
    return lines


def _some(words: list[str]) -> str:
    more = len(words) - IDS_SHOWN
    return ", ".join(words[:IDS_SHOWN]) + (f" and {more} more (--json)" if more > 0 else "")


def _verdict(facts: dict[str, Any]) -> str:
    if facts["whole"]:
        return "the journal is whole"
    if facts["repaired"]:
        return "the journal was repaired: what is intact was kept, and a server can start"
    return f"the journal is DAMAGED; see: qserver repair {facts['directory']}"

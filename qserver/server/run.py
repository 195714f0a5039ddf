"""From a configuration to a process that serves, and to its exit code."""

import asyncio
import contextlib
import functools
import ipaddress
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click
import structlog
import uvloop

from qserver import __version__
from qserver.broker.message import LEASED
from qserver.build import BUILD
from qserver.config import SWITCH_S, Config
from qserver.errors import Damaged, StorageError
from qserver.ports import Journal, Progress
from qserver.server.listener import listen
from qserver.server.server import Server
from qserver.storage.file import open_directory
from qserver.storage.memory import MemoryJournal

log = structlog.get_logger("qserver")

FILES_KEPT = 64
"""File descriptors that connections may not use: the journal's, the loop's, a few to spare."""

FAULT_EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h: a fault of ours."""

PROGRESS_AFTER_S = 1.0
"""A recovery that takes longer shows its progress on a terminal."""


def run(config: Config) -> int:
    """Serve until the process is told to stop.

    Returns:
        The exit code: 0 after a stop in good order, 1 after a failure.
    """
    for number in _stop_signals():
        signal.signal(number, _leave)
    try:
        journal = _open_journal(config)
        server = Server(config, journal, _cap_connections(config.connections_max))
        with _progress() as progress:
            server.recover(progress)
        sys.setswitchinterval(SWITCH_S)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(server))
    except Damaged as error:
        log.critical(
            "the server did not start: the journal is damaged; nothing was changed; "
            "look at it with qserver check, then mend it with qserver repair",
            error=str(error),
            check=f"qserver check {config.data}",
            repair=f"qserver repair {config.data}",
        )
        return 1
    except StorageError as error:
        log.critical("the server did not start: nothing was changed", error=str(error))
        return 1
    except KeyboardInterrupt:  # once more, when the loop has ended
        return 128 + signal.SIGINT


def _stop_signals() -> list[signal.Signals]:
    """What stops a server: but for the end of a terminal that it is to outlive, under nohup."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Stop before the loop runs, as in the middle of a long recovery.

    Not left to the system: it would kill without a word, but for the first process of a container,
    which it would not tell at all.
    """
    for number in _stop_signals():
        signal.signal(number, signal.SIG_DFL)  # once more stops at once
    log.info("stopped: nobody could connect yet")
    sys.exit(0)


def _open_journal(config: Config) -> Journal:
    if config.data is None:
        return MemoryJournal()
    return open_directory(config.data, segment_bytes_max=config.segment_bytes_max)


def _cap_connections(wanted: int) -> int:
    """How many connections the limit on open files allows; it is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES_KEPT
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(min(wanted, soft - FILES_KEPT), 1)


async def _serve(server: Server) -> int:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_fault)
    for number in _stop_signals():
        loop.add_signal_handler(number, _stop, server, number)
    config = server.config
    try:
        await server.start(functools.partial(listen, stall_s_max=config.stall_s_max))
    except OSError as error:
        log.critical(
            "can't listen there: is another server running? choose another --port or --host",
            host=config.host,
            port=config.port,
            error=error.strerror or str(error),
        )
        return 1
    _tell_of_a_torn_end(server)
    if not server.is_stopping:
        _greet(server)
    try:
        await server.serve_until_stopped()
    except (StorageError, OSError) as error:
        log.critical(
            "the journal failed while it was closed: what was not synced before may be lost",
            error=str(error),
        )
        return 1
    if server.failure is not None:
        return 1
    log.info("stopped: everything that was answered OK is stored")
    return 0


def _fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Something happened that the code says can't: memory may be wrong, the journal is not."""
    error = context.get("exception")
    if isinstance(error, OSError):
        log.warning("a connection broke: the others go on", error=str(error))
        return
    log.critical(
        "a fault in the server itself: it ends at once, and recovers from its journal at the next "
        "start; please report this",
        exc_info=error,
        fault=context["message"],
    )
    os._exit(FAULT_EXIT_CODE)


def _stop(server: Server, number: int) -> None:
    if server.is_stopping:
        # What was answered is stored by the rule of the policy; what was not is unknown anyway.
        os._exit(128 + number)
    log.info("stopping: clients get their last replies; once more stops at once")
    server.stop()


def _greet(server: Server) -> None:
    """Say where it is, what it found, and what to type next."""
    config = server.config
    host, port = server.address
    if not server.tokens and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        log.warning(
            "whoever reaches this address can read and change everything: set a token",
            host=host,
            set="QSERVER_TOKEN or --token-file",
        )
    data = "memory only" if config.data is None else str(Path(config.data).resolve())
    messages = len(server.broker.messages)
    if not sys.stderr.isatty():
        log.info(
            "listening: clients can connect",
            version=__version__,
            build=BUILD,
            host=host,
            port=port,
            data=data,
            sync=config.sync,
            connections_max=server.connections.most,
            recovered_messages=messages,
            recovery_s=round(server.recovery_s, 3),
        )
        return
    leased = server.broker.counts[LEASED]
    found = f"{messages:,} messages, {leased:,} of them leased" if messages else "empty"
    click.echo(
        f"qserver {__version__} ({BUILD}) listens on {host}:{port}\n"
        f"  data    {data} (sync={config.sync})\n"
        f"  found   {found}, in {server.recovery_s:.2f} s\n"
        f"  try     printf 'PUT hello \"world\"\\nGET hello\\nQUIT\\n' | nc {host} {port}\n"
        f"  stop    Ctrl-C",
        err=True,
    )


def _tell_of_a_torn_end(server: Server) -> None:
    figures = server.figures()
    if figures.get("torn_bytes"):
        log.warning(
            "the journal's end was torn, as a power cut leaves it: it was cut off and kept aside; "
            "what was answered by the rule of the sync policy is all there",
            file=figures["torn_file"],
            offset=figures["torn_offset"],
            bytes=figures["torn_bytes"],
        )


@contextlib.contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on the terminal for a replay that takes its time."""
    if not sys.stderr.isatty():
        yield None
        return
    with contextlib.ExitStack() as stack:
        bar = _LateBar(stack)
        yield bar.update


class _LateBar:
    """A progress bar that appears only when there is something to wait for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._began = time.monotonic()
        self._update: Progress | None = None

    def update(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self._update is None:
            if time.monotonic() - self._began < PROGRESS_AFTER_S:
                return
            self._update = self._open(total)
        self._update(done, total)

    def _open(self, total: int) -> Progress:
        from rich.console import Console  # noqa: PLC0415 - only a long recovery needs it
        from rich.progress import Progress as Bar  # noqa: PLC0415

        bar = self._stack.enter_context(Bar(console=Console(stderr=True), transient=True))
        task = bar.add_task("recovering the journal", total=total)
        return lambda done, _total: bar.update(task, completed=done)
